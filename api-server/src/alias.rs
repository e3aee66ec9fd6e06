//! Paths of systems before Caudal: the bare list of rows, `<path>/{key}`,
//! `limit` and `offset`, `{"error": …}`.

use caudal_model::plan::Alias;

use crate::query::{DEFAULT_LIMIT, MAX_LIMIT};

/// An alias that can't be served.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AliasError {
    #[error("alias {path:?}: {problem}")]
    Path { path: String, problem: &'static str },
    #[error("alias {path:?}: limit {limit} is not between 1 and {MAX_LIMIT}")]
    Limit { path: String, limit: u64 },
}

/// Checks that every alias can stand beside the API's own paths.
pub fn check(aliases: &[Alias]) -> Result<(), AliasError> {
    for (position, Alias { path, limit }) in aliases.iter().enumerate() {
        let earlier = &aliases[..position];
        let error = |problem| Err(AliasError::Path { path: path.clone(), problem });
        if let Some(limit) = limit.filter(|limit| !(1..=MAX_LIMIT).contains(limit)) {
            return Err(AliasError::Limit { path: path.clone(), limit });
        }
        let mut segments = path.strip_prefix('/').unwrap_or_default().split('/');
        if !segments.clone().all(is_segment) {
            return error(
                "write /names, of letters, digits and '.', '_', '~', '-', beginning with a letter or digit",
            );
        }
        let first = segments.next().unwrap_or_default();
        if ["v1", "docs", "openapi.json"].contains(&first) {
            return error("the API's own paths begin so");
        }
        // `/a` also serves `/a/{key}`.
        let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
        if earlier.iter().any(|other| other.path == *path) {
            return error("it is there twice");
        }
        if aliases.iter().any(|other| parent(path).as_deref() == Some(&other.path)) {
            return error("it is also a record's path of another alias");
        }
    }
    Ok(())
}

/// Plain words only, as the resource's own rule says: others have a meaning in
/// URLs or to the router.
fn is_segment(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-'))
}

/// Rows without a `limit` parameter.
pub fn default_limit(alias: &Alias) -> u64 {
    alias.limit.unwrap_or(DEFAULT_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(path: &str) -> Alias {
        Alias { path: path.to_owned(), limit: None }
    }

    #[test]
    fn takes_the_paths_of_earlier_systems() {
        let aliases = ["/records", "/data", "/flights", "/old/orders"].map(alias);
        assert_eq!(check(&aliases), Ok(()));
    }

    #[test]
    fn refuses_what_would_hide_a_path_or_be_none() {
        for path in [
            "/v1/x",
            "/v1",
            "/docs",
            "/openapi.json",
            "records",
            "/",
            "",
            "/a/",
            "//a",
            "/{x}",
            "/a b",
            "/:a",
            "/a:b",
            "/*a",
            "/.a",
            "/ñ",
        ] {
            assert!(check(&[alias(path)]).is_err(), "{path:?}");
        }
        assert!(check(&[alias("/a"), alias("/a")]).is_err());
        assert!(check(&[alias("/a/b"), alias("/a")]).is_err());
        assert!(check(&[Alias { path: "/a".into(), limit: Some(0) }]).is_err());
    }
}
