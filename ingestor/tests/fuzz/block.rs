//! Rows of any types: a block, and any part of it, is read back as what was
//! pushed.

use caudal_ingestor::block::{Columns, Layout, RowId};
use caudal_ingestor::decode::Decoder;
use caudal_model::ColumnType;
use caudal_model::plan::Field;
use caudal_model::resource::UnknownFields;

use super::choices::Choices;
use super::{native, reference};

/// How many rows there were.
pub fn run(input: &[u8]) -> usize {
    let mut choices = Choices::new(input);
    let fields: Vec<Field> = (0..=choices.below(4))
        .map(|number| {
            let of = choices.column_type(3);
            let composite = of.parse::<ColumnType>().unwrap().is_composite();
            reference::field(number, &of, choices.below(2) == 1 && !composite)
        })
        .collect();
    let layout = Layout::new(&fields);
    let mut decoder = Decoder::new(&fields, UnknownFields::Ignore, 1 << 24).unwrap();
    let mut columns = Columns::new(&layout);
    let mut rows = Vec::new();
    // Twice, the second time in the first one's memory.
    for _ in 0..2 {
        let (mut expected, mut keep) = (Vec::new(), Vec::new());
        for offset in 0..64 {
            if choices.ended() {
                break;
            }
            let message = choices.message(&fields);
            let row = reference::row(&fields, message.as_bytes());
            let outcome = decoder.decode(&mut columns, message.as_bytes(), RowId { offset, timestamp_ms: 0 });
            assert_eq!(outcome.is_ok(), row.is_some(), "{outcome:?} {message}");
            let Some(row) = row else { continue };
            if choices.below(8) == 7 {
                columns.undo_row();
                continue;
            }
            expected.push(row);
            keep.push(choices.below(4) > 0);
        }
        let block = columns.seal(&layout, 1, 2);
        assert_eq!(block.rows(), expected.len());
        compare(&block.pieces().concat(), &fields, &expected);
        let part = block.filtered(&keep);
        let kept: Vec<_> =
            expected.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(row, _)| row.clone()).collect();
        compare(&part.pieces().concat(), &fields, &kept);
        columns.reuse(block.into_buffers());
        rows.extend(expected);
    }
    rows.len()
}

fn compare(block: &[u8], fields: &[Field], expected: &[Vec<reference::Value>]) {
    for (number, (name, values)) in native::read(block).into_iter().take(fields.len()).enumerate() {
        assert_eq!(name, fields[number].name);
        let expected: Vec<_> = expected.iter().map(|row| row[number].clone()).collect();
        assert_eq!(values, expected, "{:?}", fields[number]);
    }
}
