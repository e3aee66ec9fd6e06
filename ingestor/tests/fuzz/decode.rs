//! Any bytes as messages: what becomes of each is what the reference says,
//! guessed or not, and what is refused leaves nothing behind.

use caudal_ingestor::block::{Columns, Layout, RowId};
use caudal_ingestor::decode::Decoder;
use caudal_model::ColumnType;
use caudal_model::plan::Field;
use caudal_model::resource::UnknownFields;

use super::{native, reference};

/// Stands behind each message; no UTF-8 holds it.
pub const BETWEEN: u8 = 0xfe;

const ROW: RowId = RowId { offset: 0, timestamp_ms: 0 };

/// The fields that the first byte of an input names.
pub fn fields(schema: u8) -> Vec<Field> {
    let types: &[&str] = match schema % 4 {
        0 => &["Int64", "String", "Float64", "Bool", "UInt8", "Decimal(18, 4)", "Float32"],
        1 => &["LowCardinality(String)", "UUID", "Enum8('a' = 1, 'é' = -1)", "IPv4", "IPv6", "Date"],
        2 => &[
            "Array(Nullable(Int32))",
            "Map(String, Array(Float64))",
            "Array(Array(String))",
            "Map(IPv6, UInt64)",
        ],
        _ => {
            &["JSON", "Array(JSON)", "Map(LowCardinality(String), LowCardinality(Nullable(String)))", "Int16"]
        }
    };
    let field = |(number, of): (usize, &&str)| {
        let composite = of.parse::<ColumnType>().unwrap().is_composite();
        reference::field(number, of, number % 2 == 1 && !composite)
    };
    types.iter().enumerate().map(field).collect()
}

/// How many messages were accepted, and how many refused.
pub fn run(input: &[u8]) -> (usize, usize) {
    let Some((schema, messages)) = input.split_first() else { return (0, 0) };
    let fields = fields(*schema);
    let layout = Layout::new(&fields);
    let decoder = || Decoder::new(&fields, UnknownFields::Ignore, 1 << 20).unwrap();
    let (mut guessing, mut columns) = (decoder(), Columns::new(&layout));
    let (mut clean, mut expected) = (Columns::new(&layout), Vec::new());
    let mut refused = 0;
    for message in messages.split(|byte| *byte == BETWEEN) {
        let found = guessing.decode(&mut columns, message, ROW);
        // Where nothing was learned, nothing is guessed.
        let parsed = decoder().decode(&mut Columns::new(&layout), message, ROW);
        assert_eq!(found, parsed, "{}", message.escape_ascii());
        let row = reference::row(&fields, message);
        assert_eq!(found.is_ok(), row.is_some(), "{found:?} {}", message.escape_ascii());
        match row {
            Some(row) => {
                decoder().decode(&mut clean, message, ROW).unwrap();
                expected.push(row);
            }
            None => refused += 1,
        }
    }
    let texts_may_stay = fields.iter().any(|field| field.column_type.to_string().contains("LowCardinality"));
    let (block, clean) = (columns.seal(&layout, 0, 0), clean.seal(&layout, 0, 0));
    let (sent, clean) = (block.pieces().concat(), clean.pieces().concat());
    assert!(texts_may_stay || sent == clean);
    for (number, (_, values)) in native::read(&sent).into_iter().take(fields.len()).enumerate() {
        let expected: Vec<_> = expected.iter().map(|row| row[number].clone()).collect();
        assert_eq!(values, expected, "{:?}", fields[number]);
    }
    (expected.len(), refused)
}
