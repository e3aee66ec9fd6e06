//! A number → one record of a workload, always the same for the same number.

mod flat;
mod text;
mod wide;

use caudal_examples::{Message, Outcome};
use caudal_model::plan::Field;

/// The two kinds of messages everything is measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// About 200 bytes in 10 columns
    Flat,
    /// About 1 kB in 25 columns
    Wide,
}

impl Workload {
    pub const ALL: [Self; 2] = [Self::Flat, Self::Wide];

    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Wide => "wide",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Flat => "flat records: about 200 bytes, 10 columns",
            Self::Wide => "wide records: about 1 kB, 25 columns",
        }
    }

    /// The columns of [`Self::record`].
    pub fn fields(self) -> Vec<Field> {
        let flat = flat::COLUMNS.iter();
        let columns: Vec<_> = match self {
            Self::Flat => flat.collect(),
            Self::Wide => flat.chain(wide::MORE_COLUMNS.iter()).collect(),
        };
        columns
            .into_iter()
            .map(|&(name, column_type, nullable)| {
                let column_type = column_type.parse().expect("the columns' types are known");
                Field { nullable, ..Field::new(name, column_type) }
            })
            .collect()
    }

    /// Record number `id`; equal numbers give equal records.
    pub fn record(self, id: u64) -> Message {
        let mut noise = text::Noise::of(id);
        let mut text = String::with_capacity(1_200);
        text.push('{');
        flat::write(&mut text, id, &mut noise);
        if self == Self::Wide {
            text.push(',');
            wide::write(&mut text, id, &mut noise);
        }
        text.push('}');
        Message { key: Vec::new(), value: Some(text.into_bytes()), outcome: Outcome::Filtered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_json_of_the_promised_size_with_every_field() {
        for (workload, sizes) in [(Workload::Flat, 190..230), (Workload::Wide, 950..1_100)] {
            let count = 1_000;
            let records = (0..count).map(|id| workload.record(id).value.unwrap());
            let bytes: usize = records.map(|value| value.len()).sum();
            assert!(sizes.contains(&(bytes / 1_000)), "{bytes} bytes in {count} {} records", workload.name());
            for id in 0..count {
                let value: serde_json::Value =
                    serde_json::from_slice(&workload.record(id).value.unwrap()).unwrap();
                let fields = workload.fields();
                assert_eq!(value.as_object().unwrap().len(), fields.len());
                assert!(fields.iter().all(|field| value.get(&field.name).is_some()), "{value}");
            }
        }
    }
}
