//! The four earlier systems: apply → Ready → publish → the same values by GET.

use anyhow::ensure;
use caudal_e2e::Scene;
use caudal_e2e::ledger::same;
use caudal_examples::{Generator, Message, Outcome, System};
use serde_json::Value;

/// Runs an example with every kind of malformed message among good ones.
fn run(system: System) -> anyhow::Result<(Scene, Vec<Message>)> {
    let name = system.name();
    let scene = Scene::new(&format!("example-{name}"))?;
    scene.apply_text(system.manifest())?;
    scene.wait_ready(name)?;
    let messages: Vec<Message> = Generator::new(system, 42, 0.05).take(2_000).collect();
    assert_eq!(scene.publish(name, &messages)?, 2_000);
    scene.wait_balance(name, system.key(), &messages)?;
    one_row_by_its_key(&scene, system, &messages)?;
    unknown_keys_are_not_found(&scene, system)?;
    Ok((scene, messages))
}

fn first_row(messages: &[Message]) -> &serde_json::Map<String, Value> {
    messages
        .iter()
        .find_map(|message| if let Outcome::Row(row) = &message.outcome { Some(row) } else { None })
        .expect("most messages are rows")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn one_row_by_its_key(scene: &Scene, system: System, messages: &[Message]) -> anyhow::Result<()> {
    let row = first_row(messages);
    let key = plain(&row[system.key()]);
    let answer: Value = scene.get(system.name(), &format!("/v1/records/{key}"))?.json()?;
    for (field, value) in row {
        assert!(same(&answer["data"][field], value), "field {field} of {key}: {value} in {answer}");
    }
    let filtered: Value =
        scene.get(system.name(), &format!("/v1/records?{}=eq.{key}", system.key()))?.json()?;
    assert_eq!(filtered["data"].as_array().map(Vec::len), Some(1), "{filtered}");
    Ok(())
}

fn unknown_keys_are_not_found(scene: &Scene, system: System) -> anyhow::Result<()> {
    let response = scene.get(system.name(), "/v1/records/987654321")?;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    Ok(())
}

#[test]
fn flights_are_answered_field_by_field() -> anyhow::Result<()> {
    let (scene, _) = run(System::Flights)?;
    let rows: Value = scene.get("flights", "/flights")?.json()?;
    assert_eq!(rows.as_array().map(Vec::len), Some(100));
    Ok(())
}

#[test]
fn orders_are_answered_field_by_field() -> anyhow::Result<()> {
    let (scene, _) = run(System::Orders)?;
    let rows: Value = scene.get("orders", "/orders?limit=3")?.json()?;
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
    Ok(())
}

#[test]
fn people_without_a_name_are_null_and_data_answers_ten_rows() -> anyhow::Result<()> {
    let (scene, _) = run(System::People)?;
    let rows: Value = scene.get("people", "/data")?.json()?;
    assert_eq!(rows.as_array().map(Vec::len), Some(10));
    let nameless: Value = scene.get("people", "/v1/schema")?.json()?;
    assert!(nameless.to_string().contains("nullable"), "{nameless}");
    Ok(())
}

#[test]
fn passengers_answer_as_the_earlier_system_did() -> anyhow::Result<()> {
    let (scene, messages) = run(System::Passengers)?;
    let page: Value = scene.get("passengers", "/records?limit=5&offset=5")?.json()?;
    assert_eq!(page.as_array().map(Vec::len), Some(5));
    let row = first_row(&messages);
    let one: Value = scene.get("passengers", &format!("/records/{}", plain(&row["id"])))?.json()?;
    assert_eq!(one, Value::Object(row.clone()));
    let absent = scene.get("passengers", "/records/nobody")?;
    assert_eq!(absent.status(), 404);
    assert!(absent.json::<Value>()?["error"].is_string());
    Ok(())
}

#[test]
fn a_dead_letter_keeps_value_key_and_headers() -> anyhow::Result<()> {
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let scene = Scene::new("dead-letter-intact")?;
    scene.apply_text(System::Passengers.manifest())?;
    scene.wait_ready("passengers")?;
    let topic = scene.resolved("passengers", "topic")?;
    let producer: BaseProducer = scene.kafka().create()?;
    let value = br#"{"id":"P1","nombre":"Ana","apellido":"Rojas"}"#;
    let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(&[0_u8, 159, 146, 150]) });
    let record = BaseRecord::to(&topic).key(&b"\x00key"[..]).payload(&value[..]).headers(headers);
    producer.send(record).map_err(|(error, _)| error)?;
    producer.flush(std::time::Duration::from_secs(30))?;
    let letters = caudal_e2e::eventually("the dead letter", caudal_e2e::scene::PATIENCE, || {
        let letters = scene.dead_letters("passengers")?;
        ensure!(!letters.is_empty(), "none yet");
        Ok(letters)
    })?;
    let letter = &letters[0];
    assert_eq!(letter.value.as_deref(), Some(&value[..]));
    assert_eq!(letter.key.as_deref(), Some(&b"\x00key"[..]));
    assert_eq!(letter.headers["trace"], [0_u8, 159, 146, 150]);
    assert_eq!(letter.header("caudal.reason"), "MissingField");
    assert!(letter.header("caudal.detail").contains("pais"), "{:?}", letter.header("caudal.detail"));
    assert_eq!(letter.header("caudal.topic"), topic);
    assert_eq!(letter.header("caudal.pipeline"), format!("{}/passengers", scene.namespace));
    Ok(())
}
