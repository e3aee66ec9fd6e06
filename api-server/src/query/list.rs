//! `a,"b,c",d` → items: the one syntax of `select`, `order` and `in.(…)`.
//!
//! An item in double quotes may hold any character; `\"` and `\\` stand for a
//! quote and a backslash.

/// One item and what followed its closing quote.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub text: String,
    /// What stands between a closing quote and the next comma; unquoted items
    /// have it in `text`.
    pub suffix: String,
    pub quoted: bool,
}

/// Splits at the commas outside quotes. Only an unclosed quote is an error.
pub fn split(text: &str) -> Result<Vec<Item>, &'static str> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        let (item, tail) = if let Some(inner) = rest.strip_prefix('"') {
            let (text, after) = quoted(inner)?;
            let (suffix, tail) = until_comma(after);
            (Item { text, suffix: suffix.to_owned(), quoted: true }, tail)
        } else {
            let (text, tail) = until_comma(rest);
            (Item { text: text.to_owned(), suffix: String::new(), quoted: false }, tail)
        };
        items.push(item);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(items),
        }
    }
}

fn until_comma(text: &str) -> (&str, Option<&str>) {
    text.split_once(',').map_or((text, None), |(item, tail)| (item, Some(tail)))
}

/// Reads up to the closing quote; returns the text and what follows.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                _ => return Err("after a backslash in quotes only a quote or a backslash may stand"),
            },
            other => out.push(other),
        }
    }
    Err("a quote is opened and not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text).unwrap().into_iter().map(|item| item.text + &item.suffix).collect()
    }

    #[test]
    fn splits_at_commas_outside_quotes() {
        assert_eq!(texts("a,b"), ["a", "b"]);
        assert_eq!(texts(r#""a,b",c"#), ["a,b", "c"]);
        assert_eq!(texts(r#""say \"hi\" \\",x"#), [r#"say "hi" \"#, "x"]);
        assert_eq!(texts(""), [""]);
        assert_eq!(texts("a,"), ["a", ""]);
    }

    #[test]
    fn keeps_what_follows_a_quote_apart() {
        let items = split(r#""a.desc".desc"#).unwrap();
        assert_eq!(items, [Item { text: "a.desc".into(), suffix: ".desc".into(), quoted: true }]);
    }

    #[test]
    fn refuses_open_quotes() {
        assert!(split("\"a").is_err());
        assert!(split(r#""a\n""#).is_err());
    }
}
