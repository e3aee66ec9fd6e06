//! Plan → ClickHouse DDL text with quoted identifiers.
