//! What is wrong with a parameter.

use serde::Serialize;

/// One parameter that can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParameterError {
    pub parameter: String,
    pub code: ErrorCode,
    /// Names what is allowed instead.
    pub detail: String,
}

/// Kinds of [`ParameterError`], a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ErrorCode {
    UnknownParameter,
    UnknownField,
    UnknownOperator,
    WrongType,
    OutOfRange,
    Repeated,
    TooMany,
    BadSyntax,
    BadCursor,
    Conflict,
}
