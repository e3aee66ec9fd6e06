//! A seed → realistic messages for one of the four systems, each with what is to become of it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use fake::Fake;
use fake::faker::address::en::CountryName;
use fake::faker::name::en::{FirstName, LastName, Name};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use crate::malform;

/// One of the earlier systems that the examples stand in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Flights,
    Orders,
    People,
    Passengers,
}

impl System {
    pub const ALL: [Self; 4] = [Self::Flights, Self::Orders, Self::People, Self::Passengers];

    /// The pipeline's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flights => "flights",
            Self::Orders => "orders",
            Self::People => "people",
            Self::Passengers => "passengers",
        }
    }

    /// The example manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Flights => include_str!("../flights.yaml"),
            Self::Orders => include_str!("../orders.yaml"),
            Self::People => include_str!("../people.yaml"),
            Self::Passengers => include_str!("../passengers.yaml"),
        }
    }

    /// The path that answers as the earlier system did.
    pub fn alias(self) -> &'static str {
        match self {
            Self::Flights => "/flights",
            Self::Orders => "/orders",
            Self::People => "/data",
            Self::Passengers => "/records",
        }
    }

    /// The field behind `/v1/records/{key}`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Flights => "flight_number",
            Self::Orders | Self::People | Self::Passengers => "id",
        }
    }

    /// A field that must be there, and a value beyond its type's range, if it can have one.
    pub(crate) fn beyond_range(self) -> Option<(&'static str, Value)> {
        match self {
            Self::Flights => Some(("passengers", json!(70_000))),
            Self::Orders => Some(("id", json!(-1))),
            Self::People => Some(("id", json!(9_223_372_036_854_775_808_u64))),
            Self::Passengers => None,
        }
    }
}

/// A message to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Empty: it is published without a key.
    pub key: Vec<u8>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub outcome: Outcome,
}

/// What is to become of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is stored, and the API answers these fields.
    Row(Map<String, Value>),
    /// It goes to the dead-letter topic with this reason.
    DeadLetter(&'static str),
    /// It is counted and left out.
    Filtered,
}

/// An endless iterator of messages; equal arguments give equal messages.
pub struct Generator {
    system: System,
    rng: StdRng,
    malformed_share: f64,
    next_id: u64,
    next_malformation: usize,
}

impl Generator {
    /// `malformed_share` (0 to 1) of the messages are malformed or tombstones, each kind in its turn.
    pub fn new(system: System, seed: u64, malformed_share: f64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { system, rng, malformed_share, next_id: 1, next_malformation: 0 }
    }

    /// Ids begin at `id`.
    #[must_use]
    pub fn starting_at(mut self, id: u64) -> Self {
        self.next_id = id;
        self
    }

    fn row(&mut self) -> Map<String, Value> {
        let id = self.next_id;
        self.next_id += 1;
        let row = match self.system {
            System::Flights => self.flight(id),
            System::Orders => self.order(id),
            System::People => self.person(id),
            System::Passengers => json!({
                "id": format!("P{id:07}"),
                "nombre": FirstName().fake_with_rng::<String, _>(&mut self.rng),
                "apellido": LastName().fake_with_rng::<String, _>(&mut self.rng),
                "pais": CountryName().fake_with_rng::<String, _>(&mut self.rng),
            }),
        };
        match row {
            Value::Object(row) => row,
            other => unreachable!("every system's row is an object, not {other}"),
        }
    }

    fn flight(&mut self, id: u64) -> Value {
        const AIRPORTS: [&str; 8] = ["SCL", "EZE", "GRU", "LIM", "BOG", "MEX", "MAD", "MIA"];
        const AIRLINES: [&str; 5] = ["LA", "H2", "AR", "AV", "IB"];
        let origin = self.rng.random_range(0..AIRPORTS.len());
        let destination = (origin + self.rng.random_range(1..AIRPORTS.len())) % AIRPORTS.len();
        let scheduled = start() + TimeDelta::minutes(self.rng.random_range(0..14 * 24 * 60));
        let delay = self.rng.random_range(-10..180_i32);
        let departed = self.rng.random_bool(0.9);
        json!({
            "flight_number": format!("{}{id}", AIRLINES[self.rng.random_range(0..AIRLINES.len())]),
            "origin": AIRPORTS[origin],
            "destination": AIRPORTS[destination],
            "scheduled_departure": rfc3339(scheduled),
            "actual_departure":
                if departed { json!(rfc3339(scheduled + TimeDelta::minutes(delay.into()))) } else { Value::Null },
            "delay_minutes": if departed { delay } else { 0 },
            "passengers": self.rng.random_range(20..300),
            "fare": cents(self.rng.random_range(2_000..250_000)),
        })
    }

    fn order(&mut self, id: u64) -> Value {
        const STATES: [&str; 5] = ["created", "paid", "shipped", "delivered", "returned"];
        let created = start() + TimeDelta::milliseconds(self.rng.random_range(0..14 * 86_400_000));
        json!({
            "id": id,
            "customer": Name().fake_with_rng::<String, _>(&mut self.rng),
            "status": STATES[self.rng.random_range(0..STATES.len())],
            "amount": cents(self.rng.random_range(100..5_000_000)),
            "created": rfc3339(created),
        })
    }

    fn person(&mut self, id: u64) -> Value {
        let name: Option<String> =
            self.rng.random_bool(0.9).then(|| Name().fake_with_rng::<String, _>(&mut self.rng));
        json!({"id": id, "name": name})
    }
}

impl Iterator for Generator {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let row = self.row();
        let key =
            row[self.system.key()].as_str().map_or_else(|| row[self.system.key()].to_string(), Into::into);
        let (value, outcome) = if self.rng.random_bool(self.malformed_share) {
            let kinds = malform::kinds(self.system);
            let kind = kinds[self.next_malformation % kinds.len()];
            self.next_malformation += 1;
            malform::malform(self.system, kind, &row)
        } else {
            (Some(Value::Object(row.clone()).to_string().into_bytes()), Outcome::Row(row))
        };
        Some(Message { key: key.into_bytes(), value, outcome })
    }
}

/// A fixed day, so that equal seeds give equal messages.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).expect("2026-01-01 is a day")
}

fn rfc3339(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn cents(amount: i32) -> Value {
    json!(f64::from(amount) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_messages() {
        for system in System::ALL {
            let messages = |seed| Generator::new(system, seed, 0.2).take(200).collect::<Vec<_>>();
            assert_eq!(messages(7), messages(7));
            assert_ne!(messages(7), messages(8));
        }
    }

    #[test]
    fn malforms_the_share_it_was_asked_for_in_every_kind() {
        for system in System::ALL {
            let messages: Vec<_> = Generator::new(system, 1, 0.1).take(2_000).collect();
            let bad = messages.iter().filter(|message| !matches!(message.outcome, Outcome::Row(_))).count();
            assert!((140..260).contains(&bad), "{bad} of 2000");
            for kind in malform::kinds(system) {
                let expected = kind.outcome();
                assert!(messages.iter().any(|message| message.outcome == expected), "{kind:?}");
            }
        }
    }

    #[test]
    fn good_messages_say_what_the_outcome_says() {
        for message in Generator::new(System::Flights, 3, 0.0).take(50) {
            let Outcome::Row(row) = message.outcome else { panic!("a malformed message at share 0") };
            let value: Value = serde_json::from_slice(&message.value.unwrap()).unwrap();
            assert_eq!(value, Value::Object(row));
        }
    }
}
