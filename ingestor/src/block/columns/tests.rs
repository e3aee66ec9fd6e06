use super::*;

fn field(name: &str, column_type: &str, nullable: bool) -> Field {
    Field { nullable, ..Field::new(name, column_type.parse().unwrap()) }
}

fn layout() -> Layout {
    Layout::new(&[
        field("text", "String", false),
        field("word", "LowCardinality(String)", true),
        field("number", "UInt32", true),
    ])
}

/// Rows `from..to`: a text of growing length, a word or NULL, a number or NULL.
fn push(columns: &mut Columns, words: usize, from: usize, to: usize) {
    for row in from..to {
        columns.fields[0].push_text(&vec![b'x'; row % 300]);
        match row % words {
            0 => columns.fields[1].push_null(),
            word => columns.fields[1].push_text(format!("word {word}").as_bytes()),
        }
        match row % 3 {
            0 => columns.fields[2].push_null(),
            _ => columns.fields[2].push(u32::try_from(row).unwrap().to_le_bytes()),
        }
        let offset = i64::try_from(row).unwrap();
        columns.finish_row(RowId { offset, timestamp_ms: offset * 10 }, 700);
    }
}

fn wire(block: &Block) -> Vec<u8> {
    block.pieces().concat()
}

#[test]
fn a_block_is_native_byte_by_byte() {
    let layout = Layout::new(&[field("t", "String", true), field("w", "LowCardinality(String)", false)]);
    let mut columns = Columns::new(&layout);
    columns.fields[0].push_text(b"ab");
    columns.fields[1].push_text(b"w");
    columns.finish_row(RowId { offset: 7, timestamp_ms: 9 }, 10);
    columns.fields[0].push_null();
    columns.fields[1].push_text(b"");
    columns.finish_row(RowId { offset: 8, timestamp_ms: i64::MAX }, 10);
    let block = columns.seal(&layout, 5, 3);
    let mut expected = b"\x06\x02\x01t\x10Nullable(String)\0\x01\x02ab\0".to_vec();
    expected.extend_from_slice(b"\x01w\x16LowCardinality(String)");
    for word in [1_u64, 1 << 9 | 1 << 10, 2] {
        expected.extend_from_slice(&word.to_le_bytes());
    }
    expected.extend_from_slice(b"\0\x01w");
    expected.extend_from_slice(&2_u64.to_le_bytes());
    expected.extend_from_slice(b"\x01\0");
    let metadata: [&[u8]; 4] = [
        &[5, 0, 0, 0, 0, 0, 0, 0].repeat(2),
        &[3, 0, 0, 0].repeat(2),
        &[7_i64.to_le_bytes(), 8_i64.to_le_bytes()].concat(),
        &[9_i64.to_le_bytes(), 10_413_791_999_999_i64.to_le_bytes()].concat(),
    ];
    for (column, data) in METADATA_COLUMNS.iter().zip(metadata) {
        for text in [column.name, column.column_type] {
            expected.push(u8::try_from(text.len()).unwrap());
            expected.extend_from_slice(text.as_bytes());
        }
        expected.extend_from_slice(data);
    }
    assert_eq!(wire(&block), expected);
    assert_eq!(block.timestamps_ms().collect::<Vec<_>>(), [9, 10_413_791_999_999]);
}

#[test]
fn what_is_filtered_is_what_would_have_been_built() {
    let layout = layout();
    // Dictionaries whose keys take one, two and four bytes.
    for (rows, words) in [(1, 2), (300, 7), (9_000, 600), (70_000, 66_000)] {
        let mut columns = Columns::new(&layout);
        push(&mut columns, words, 0, rows);
        let block = columns.seal(&layout, 11, 2);
        let none = block.filtered(&vec![false; rows]);
        assert_eq!((none.rows(), none.pieces().concat().len() > 100), (0, true));
        assert_eq!(wire(&block.filtered(&vec![true; rows])), wire(&block));
        // The first rows have the first words: the dictionary is a longer one.
        let first = rows / 2;
        let keep: Vec<bool> = (0..rows).map(|row| row < first).collect();
        let half = block.filtered(&keep);
        push(&mut columns, words, 0, first);
        let expected = columns.seal(&layout, 11, 2);
        assert_eq!(half.rows(), expected.rows());
        for (part, expected) in half.parts.iter().zip(&expected.parts) {
            let same = matches!(part.shape, Shape::Same(_)) || part.shape != expected.shape;
            assert!(same || (&part.data, &part.nulls) == (&expected.data, &expected.nulls));
        }
    }
}

#[test]
fn equal_values_are_written_once_and_sent_for_every_row() {
    let layout = Layout::new(&[]);
    for rows in [0, 1, REPEATED - 1, REPEATED, REPEATED + 1, 3 * REPEATED + 5] {
        let mut columns = Columns::new(&layout);
        push_bare(&mut columns, rows);
        let block = columns.seal(&layout, 0x0102, 3);
        let sent = wire(&block);
        let source = 0x0102_u64.to_le_bytes().repeat(rows);
        let partition = 3_i32.to_le_bytes().repeat(rows);
        let has = |part: &[u8]| part.is_empty() || sent.windows(part.len()).any(|window| window == part);
        assert!(has(&source) && has(&partition), "{rows} rows");
        let heads: usize = layout.columns().map(|(name, native)| name.len() + native.len() + 2).sum();
        let counts = if rows < 128 { 2 } else { 3 };
        assert_eq!(sent.len(), counts + heads + rows * (8 + 4 + 8 + 8));
        assert!(block.bytes() <= heads + rows * 16 + REPEATED * 12);
    }
}

fn push_bare(columns: &mut Columns, rows: usize) {
    (0..rows).for_each(|_| columns.finish_row(RowId { offset: 0, timestamp_ms: 0 }, 0));
}

#[test]
fn the_bound_is_never_below_the_bytes() {
    let layout = layout();
    let mut columns = Columns::new(&layout);
    for row in 0..2_000 {
        push(&mut columns, 10_000, row, row + 1);
        if row % 7 == 0 {
            columns.fields[1].push_text(format!("refused {row}").as_bytes());
            columns.fields[1].undo();
            columns.refused(20);
        }
        columns.push_encoded(0, &Encoded::Text(vec![b'd'; 5_000]));
        columns.push_encoded(1, &Encoded::Null);
        columns.push_encoded(2, &Encoded::Null);
        columns.finish_row(RowId { offset: 0, timestamp_ms: 0 }, 2);
        assert!(columns.bytes_at_most >= columns.bytes(), "row {row}");
    }
    let bytes = columns.bytes();
    assert!(!columns.full(bytes + 1));
    assert!(columns.full(bytes));
}

#[test]
fn buffers_are_used_again() {
    let layout = layout();
    let mut columns = Columns::new(&layout);
    push(&mut columns, 5, 0, 1_000);
    let first = columns.seal(&layout, 1, 1);
    let expected = wire(&first);
    assert!(columns.bare());
    let memory: Vec<*const u8> = first.parts[..3].iter().map(|part| part.data.as_ptr()).collect();
    columns.reuse(first.into_buffers());
    assert!(!columns.bare());
    let unused = columns.take_buffers();
    assert!(columns.bare());
    columns.reuse(unused);
    push(&mut columns, 5, 0, 1_000);
    let again = columns.seal(&layout, 1, 1);
    assert_eq!(again.parts[..3].iter().map(|part| part.data.as_ptr()).collect::<Vec<_>>(), memory);
    assert_eq!(wire(&again), expected);
}

#[test]
fn an_undone_row_leaves_the_block_as_it_was() {
    let layout = layout();
    let seal = |undo: bool| {
        let mut columns = Columns::new(&layout);
        push(&mut columns, 3, 0, 10);
        if undo {
            push(&mut columns, 3, 11, 12);
            columns.undo_row();
        }
        wire(&columns.seal(&layout, 1, 1))
    };
    assert_eq!(seal(true), seal(false));
}
