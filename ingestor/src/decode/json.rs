//! The grammar of RFC 8259 over bytes.

use super::reject::Reason;
use super::scan;

/// A number: ±`digits` × 10^−`decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    pub negative: bool,
    pub digits: u64,
    pub decimals: usize,
}

/// Where the parser stands in a message.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The whole message.
    pub fn all(&self) -> &'a [u8] {
        self.bytes
    }

    /// What has not been taken.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Takes again what was taken from `position` on.
    #[inline]
    pub fn back_to(&mut self, position: usize) {
        self.at = position;
    }

    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    pub fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), Reason> {
        self.skip_whitespace();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Reason::InvalidJson) }
    }

    pub fn literal(&mut self, word: &[u8]) -> Result<(), Reason> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Reason::InvalidJson)
        }
    }

    /// The body of a string whose opening quote has been taken, unescaped:
    /// part of the message, or `scratch` when it had escapes.
    #[inline]
    pub fn text<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Reason>
    where
        'a: 's,
    {
        let start = self.at;
        let (end, ascii) = scan::plain_text(self.bytes, start);
        self.at = end;
        match self.peek() {
            Some(b'"') => {}
            Some(b'\\') => return self.escaped(start, scratch),
            _ => return Err(Reason::InvalidJson),
        }
        let text = &self.bytes[start..end];
        if !ascii && std::str::from_utf8(text).is_err() {
            return Err(Reason::InvalidUtf8);
        }
        self.at += 1;
        Ok(text)
    }

    #[cold]
    fn escaped<'s>(&mut self, start: usize, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Reason> {
        scratch.clear();
        scratch.extend_from_slice(&self.bytes[start..self.at]);
        loop {
            let from = self.at;
            self.at = scan::plain_text(self.bytes, from).0;
            scratch.extend_from_slice(&self.bytes[from..self.at]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(scratch)?;
                }
                _ => return Err(Reason::InvalidJson),
            }
        }
        self.at += 1;
        if std::str::from_utf8(scratch).is_err() {
            return Err(Reason::InvalidUtf8);
        }
        Ok(scratch)
    }

    /// What stands behind a backslash.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Reason> {
        let Some(kind) = self.peek() else { return Err(Reason::InvalidJson) };
        self.at += 1;
        out.push(match kind {
            b'"' | b'\\' | b'/' => kind,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode()?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Reason::InvalidJson),
        });
        Ok(())
    }

    /// Four hex digits, or two times four that name one character above
    /// U+FFFF. Half such a pair is no character.
    fn unicode(&mut self) -> Result<char, Reason> {
        let mut code = self.hex4()?;
        if (0xD800..0xDC00).contains(&code) {
            if !self.bytes[self.at..].starts_with(b"\\u") {
                return Err(Reason::InvalidJson);
            }
            self.at += 2;
            let low = self.hex4()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(Reason::InvalidJson);
            }
            code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        char::from_u32(code).ok_or(Reason::InvalidJson)
    }

    fn hex4(&mut self) -> Result<u32, Reason> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Reason::InvalidJson)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Reason::InvalidJson)?;
            Ok(value << 4 | digit)
        })
    }

    /// A number whose digits fit into a `u64` and that has no exponent; `None`
    /// for any other, and for what is none, which stays where it is.
    #[inline]
    pub fn short_number(&mut self) -> Option<Short> {
        let negative = self.peek()? == b'-';
        let start = self.at + usize::from(negative);
        let (mut digits, mut end) = scan::digits(self.bytes, start, 0);
        let whole = end - start;
        if whole == 0 || (whole > 1 && self.bytes[start] == b'0') {
            return None;
        }
        let mut decimals = 0;
        if self.bytes.get(end) == Some(&b'.') {
            let from = end + 1;
            (digits, end) = scan::digits(self.bytes, from, digits);
            decimals = end - from;
            if decimals == 0 {
                return None;
            }
        }
        if whole + decimals > scan::SAFE_DIGITS || matches!(self.bytes.get(end), Some(b'e' | b'E')) {
            return None;
        }
        self.at = end;
        Some(Short { negative, digits, decimals })
    }

    /// A number's text.
    #[inline]
    pub fn number(&mut self) -> Result<&'a [u8], Reason> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.bytes[start..self.at])
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Reason> {
        let start = self.at;
        self.at = scan::digits(self.bytes, start, 0).1;
        if self.at == start { Err(Reason::InvalidJson) } else { Ok(()) }
    }

    /// Checks and passes over any value that nests at most `depth` deep.
    pub fn skip_value(&mut self, scratch: &mut Vec<u8>, depth: u32) -> Result<(), Reason> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.text(scratch).map(drop)
            }
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'[') => {
                let depth = depth.checked_sub(1).ok_or(Reason::TooDeep)?;
                self.skip_items(b']', |cursor| cursor.skip_value(scratch, depth))
            }
            Some(b'{') => {
                let depth = depth.checked_sub(1).ok_or(Reason::TooDeep)?;
                self.skip_items(b'}', |cursor| {
                    if !cursor.take(b'"') {
                        return Err(Reason::InvalidJson);
                    }
                    cursor.text(scratch)?;
                    cursor.skip_whitespace();
                    if !cursor.take(b':') {
                        return Err(Reason::InvalidJson);
                    }
                    cursor.skip_whitespace();
                    cursor.skip_value(scratch, depth)
                })
            }
            _ => self.number().map(drop),
        }
    }

    fn skip_items(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        self.at += 1;
        self.skip_whitespace();
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.skip_whitespace();
            if self.take(close) {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(Reason::InvalidJson);
            }
            self.skip_whitespace();
        }
    }
}
