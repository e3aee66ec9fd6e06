//! Messages that can't become rows: kept whole, with the reason, and nobody
//! else suffers.

use super::pipeline::{Ingestor, LIMIT, Pipeline, Spec, field};
use super::stack::{Sent, stack};

pub fn header<'a>(message: &'a Sent, name: &str) -> Option<&'a str> {
    let found = message.headers.iter().find(|(key, _)| key == name)?;
    std::str::from_utf8(found.1.as_deref()?).ok()
}

#[test]
fn bad_messages_arrive_byte_for_byte_with_their_reason() {
    let stack = stack();
    let fields = vec![field("id", "Int8"), field("text", "String"), field("at", "Date")];
    let pipeline = Pipeline::create(&stack, Spec { fields, partitions: 2, ..Spec::default() });
    let deep = format!(r#"{{"id":1,"text":"","at":"2026-01-01","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("EmptyMessage", Vec::new()),
        ("InvalidUtf8", b"{\"id\":1,\"text\":\"\xff\",\"at\":\"2026-01-01\"}".to_vec()),
        ("InvalidUtf8", b"{\"id\":1,\"text\":\"\",\"at\":\"2026-01-01\",\"other\":\"\xc3\"}".to_vec()),
        ("InvalidJson", b"{\"id\":1,".to_vec()),
        ("InvalidJson", br#"{"id":1,"text":"\ud800","at":"2026-01-01"}"#.to_vec()),
        ("InvalidJson", br#"{"id":1,"text":"","at":"2026-01-01"} x"#.to_vec()),
        ("NotAnObject", b"[1, 2]".to_vec()),
        ("MissingField", br#"{"id":1,"text":""}"#.to_vec()),
        ("NullField", br#"{"id":null,"text":"","at":"2026-01-01"}"#.to_vec()),
        ("WrongType", br#"{"id":1.0,"text":"","at":"2026-01-01"}"#.to_vec()),
        ("WrongType", br#"{"id":"1","text":"","at":"2026-01-01"}"#.to_vec()),
        ("WrongType", br#"{"id":1,"text":5,"at":"2026-01-01"}"#.to_vec()),
        ("OutOfRange", br#"{"id":128,"text":"","at":"2026-01-01"}"#.to_vec()),
        ("OutOfRange", br#"{"id":1,"text":"","at":"2150-01-01"}"#.to_vec()),
        ("DuplicateKey", br#"{"id":1,"id":1,"text":"","at":"2026-01-01"}"#.to_vec()),
        ("TooDeep", deep.into_bytes()),
    ];
    let good = r#"{"id":1,"text":"good","at":"2026-01-01"}"#;
    let mut messages = Vec::new();
    for (index, (_, value)) in (0_u8..).zip(&bad) {
        messages.push(Sent::value(0, good));
        messages.push(Sent {
            partition: 0,
            key: (index % 3 != 0).then(|| vec![0xfe, index]),
            value: Some(value.clone()),
            headers: vec![
                ("trace".into(), Some(vec![0, 255, b'=', index])),
                ("none".into(), None),
                ("trace".into(), Some(Vec::new())),
            ],
        });
    }
    // A tombstone becomes nothing at all.
    messages.push(Sent { partition: 0, key: Some(b"k".to_vec()), ..Sent::default() });
    messages.push(Sent::value(1, good));
    let count = bad.len() as u64;
    stack.publish(pipeline.topic(), messages.clone());

    let ingestor = pipeline.start();
    pipeline.wait_rows(&stack, count + 1);
    pipeline.wait_committed(&stack, 0, 2 * count.cast_signed() + 1);
    let letters = stack.read_all(pipeline.dead_letter_topic());
    assert_eq!(letters.len(), bad.len());
    for (index, ((reason, _), letter)) in bad.iter().zip(&letters).enumerate() {
        let original = &messages[2 * index + 1];
        assert_eq!(letter.value, original.value, "{reason}");
        assert_eq!(letter.key, original.key, "{reason}");
        assert_eq!(letter.headers[..3], original.headers[..], "{reason}");
        assert_eq!(header(letter, "caudal.reason"), Some(*reason), "{:?}", header(letter, "caudal.detail"));
        assert_eq!(
            header(letter, "caudal.pipeline"),
            Some(format!("tests/{}", pipeline.plan.pipeline.name).as_str())
        );
        assert_eq!(header(letter, "caudal.topic"), Some(pipeline.topic()));
        assert_eq!(header(letter, "caudal.partition"), Some("0"));
        assert_eq!(header(letter, "caudal.offset"), Some((2 * index + 1).to_string().as_str()));
        assert!(
            header(letter, "caudal.timestamp")
                .is_some_and(|time| time.parse::<i64>().unwrap() > 1_600_000_000_000)
        );
    }
    let ledger = stack
        .clickhouse
        .query(&format!(
            "SELECT sum(rows), sum(dead_letters), sum(filtered), sum(next_offset - first_offset) FROM {} FINAL \
             WHERE partition = 0",
            pipeline.ledger()
        ))
        .unwrap();
    assert_eq!(ledger.trim(), format!("{count}\t{count}\t1\t{}", 2 * count + 1));
    let metrics = ingestor.get("/metrics").unwrap().1;
    assert!(metrics.contains("caudal_ingestor_dead_letters_total{"), "{metrics}");
    let invalid = metrics.lines().find(|line| line.contains("reason=\"InvalidJson\"")).unwrap();
    assert!(invalid.ends_with(" 3"), "{invalid}");
}

#[test]
fn a_refused_dead_letter_topic_holds_the_range_back() {
    let stack = stack();
    let mut pipeline = Pipeline::create(&stack, Spec::default());
    let missing = format!("{}.missing", pipeline.topic());
    pipeline.plan.source.dead_letter.topic.clone_from(&missing);
    stack.publish(pipeline.topic(), [Sent::value(0, r#"{"id":1,"text":"a"}"#), Sent::value(0, "no json")]);
    let ingestor = pipeline.start();
    ingestor.wait_state("dead letters are blocked", |state| {
        state
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.reason == caudal_model::state::Reason::DeadLettersBlocked)
    });
    let (offset, metadata) = stack.committed(&pipeline.plan.source.group, pipeline.topic(), 0).unwrap();
    assert_eq!(offset, 0, "{metadata}");
    stack.create_topic(&missing, 1);
    pipeline.wait_committed(&stack, 0, 2);
    assert_eq!(stack.read_all(&missing).len(), 1);
    ingestor.wait_state("no trouble", |state| state.trouble.is_none());
}

#[test]
fn more_letters_than_may_be_on_the_way_arrive() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec { flush_delay_ms: 50, ..Spec::default() });
    // Twenty letters of 900 kB are more than may be on the way at once.
    let large = vec![b'x'; 900_000];
    stack.publish(pipeline.topic(), (0..20).map(|_| Sent::value(0, large.clone())));
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 20);
    assert_eq!(stack.read_all(pipeline.dead_letter_topic()).len(), 20);
}

#[test]
fn a_death_behind_a_dead_letter_sends_it_again_and_no_row() {
    let stack = stack();
    let pipeline = Pipeline::create(&stack, Spec::default());
    stack.publish(pipeline.topic(), [Sent::value(0, r#"{"id":1,"text":"a"}"#), Sent::value(0, "no json")]);
    let mut dying = Ingestor::start(&pipeline, &[("CAUDAL_FAIL_POINT", "letter_sent")]);
    assert!(!dying.wait_end(LIMIT).success());
    let _ingestor = pipeline.start();
    pipeline.wait_committed(&stack, 0, 2);
    assert_eq!(pipeline.rows(&stack), 1);
    let letters = stack.read_all(pipeline.dead_letter_topic());
    assert!(!letters.is_empty() && letters.iter().all(|one| header(one, "caudal.offset") == Some("1")));
}
