//! A request's query string + cursor → the `Link` to the next page (RFC 8288).

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::query::decode;

/// What may not stand in a header's URL as it is.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'\\');

/// The same query, going on after `cursor`. Without a path it is right behind
/// a proxy too that serves this API below another.
pub fn next(raw: &str, cursor: &str) -> String {
    let kept = raw.split('&').filter(|pair| {
        let name = decode(pair.split('=').next().unwrap_or_default());
        !matches!(name.as_deref(), Some("" | "cursor" | "offset"))
    });
    let mut target = "<?".to_owned();
    for pair in kept {
        target.extend(utf8_percent_encode(pair, UNSAFE));
        target.push('&');
    }
    target + "cursor=" + cursor + ">; rel=\"next\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_query_and_replaces_the_position() {
        assert_eq!(
            next("id=gt.1&offset=5&%6Fffset=5&%22order%22=eq.1&limit=2&cursor=old", "new"),
            "<?id=gt.1&%22order%22=eq.1&limit=2&cursor=new>; rel=\"next\""
        );
        assert_eq!(next("", "c"), "<?cursor=c>; rel=\"next\"");
        assert_eq!(next("a=eq.é<", "c"), "<?a=eq.%C3%A9%3C&cursor=c>; rel=\"next\"");
    }
}
