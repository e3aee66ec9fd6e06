//! What the server has + what the spec wants → columns to add, or why that
//! can't be.

use std::collections::BTreeMap;

use super::table::column_type;
use super::table::{DEDUPLICATION_WINDOW, WINDOW};
use super::{DURABLE, METADATA_COLUMNS, TableSpec, quote_table};
use crate::plan::{Field, UNKNOWN_COLUMN};

/// A row of `system.columns`, in the order of `position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingColumn {
    pub name: String,
    pub column_type: String,
    /// Empty, `DEFAULT`, `MATERIALIZED`, `ALIAS` or `EPHEMERAL`.
    pub default_kind: String,
}

/// A row of `system.tables`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingTable {
    pub engine: String,
    pub sorting_key: String,
    pub partition_key: String,
    pub comment: String,
    /// Engine, keys and settings as the server prints them.
    pub engine_full: String,
    /// Views that are filled from what is inserted, like `shop.totals`.
    pub views: Vec<String>,
}

impl ExistingTable {
    /// A setting of the table's own; what the server's configuration gives is
    /// not among them.
    fn setting(&self, name: &str) -> Option<&str> {
        setting(&self.engine_full, name)
    }
}

/// A setting in `system.tables`' `engine_full`.
fn setting<'a>(engine_full: &'a str, name: &str) -> Option<&'a str> {
    let (_, settings) = engine_full.rsplit_once(" SETTINGS ")?;
    let mut pairs = settings.split(", ").filter_map(|pair| pair.split_once(" = "));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// How many tokens a table of this `engine_full` remembers, as far as it says so.
pub fn deduplication_window(engine_full: &str) -> Option<u64> {
    setting(engine_full, WINDOW)?.parse().ok()
}

/// A column to add, by [`super::add_column`], in the order given.
#[derive(Clone, Debug, PartialEq)]
pub struct AddColumn {
    pub field: Field,
    /// The column it follows; first when absent.
    pub after: Option<String>,
}

/// Why a table can't hold what the pipeline wants; says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incompatible(pub String);

/// The columns to add so that the table holds every field.
///
/// Only nullable or defaulted fields can be added, since older rows must show
/// something. No change of a type, no removal: the table stays as it is.
pub fn schema_changes(existing: &[ExistingColumn], spec: &TableSpec) -> Result<Vec<AddColumn>, Incompatible> {
    let there: BTreeMap<&str, &ExistingColumn> =
        existing.iter().map(|column| (column.name.as_str(), column)).collect();
    for column in METADATA_COLUMNS {
        expect_column(
            &there,
            column.name,
            column.column_type,
            "Caudal writes it in every row; use a table that has it",
        )?;
    }
    let mut changes = Vec::new();
    let mut before: Option<&str> = None;
    for field in &spec.fields {
        if there.contains_key(field.name.as_str()) {
            let advice = "types can't be changed; give the field the column's type, or use a new field name";
            expect_column(&there, &field.name, &column_type(field), advice)?;
        } else {
            changes.push(addition(field, before, spec.existing)?);
        }
        before = Some(&field.name);
    }
    existing.iter().try_for_each(|column| expect_wanted(column, spec))?;
    Ok(changes)
}

fn expect_column(
    there: &BTreeMap<&str, &ExistingColumn>,
    name: &str,
    wanted: &str,
    advice: &str,
) -> Result<(), Incompatible> {
    match there.get(name) {
        None => Err(Incompatible(format!("the table has no column {name} {wanted}: {advice}"))),
        Some(column) if column.column_type != wanted => {
            Err(Incompatible(format!("column {name} is {}, not {wanted}: {advice}", column.column_type)))
        }
        Some(column) if !matches!(column.default_kind.as_str(), "" | "DEFAULT") => {
            Err(Incompatible(format!(
                "column {name} is {}, so nothing can be inserted into it: use a table where it is an ordinary column",
                column.default_kind
            )))
        }
        Some(_) => Ok(()),
    }
}

fn addition(field: &Field, before: Option<&str>, existing: bool) -> Result<AddColumn, Incompatible> {
    let name = &field.name;
    if existing {
        return Err(Incompatible(format!(
            "the table has no column {name} {}: add it yourself, since a table used by existingTable is never altered",
            column_type(field)
        )));
    }
    if !field.nullable && field.default.is_none() {
        let write =
            if field.column_type.is_composite() { "a default" } else { "nullable: true or a default" };
        return Err(Incompatible(format!(
            "field {name} can't be added, for older rows have no value: write {write}"
        )));
    }
    Ok(AddColumn { field: field.clone(), after: before.map(str::to_owned) })
}

/// A column nobody fills any more would silently take its type's default.
fn expect_wanted(column: &ExistingColumn, spec: &TableSpec) -> Result<(), Incompatible> {
    let name = column.name.as_str();
    // Ours stays when it is no longer filled: it has a default.
    let wanted = (name == UNKNOWN_COLUMN && !spec.existing)
        || spec.fields.iter().any(|field| field.name == name)
        || METADATA_COLUMNS.iter().any(|metadata| metadata.name == name);
    let fills_itself = !column.default_kind.is_empty()
        || column.column_type.starts_with("Nullable(")
        || column.column_type.starts_with("LowCardinality(Nullable(");
    match (wanted, spec.existing) {
        (true, _) => Ok(()),
        (false, true) if fills_itself => Ok(()),
        (false, true) => Err(Incompatible(format!(
            "column {name} of the table is in no field and has no default: add the field, or give the column a default"
        ))),
        (false, false) => Err(Incompatible(format!(
            "field {name} was removed or renamed, but its column stays in the table: put the field back"
        ))),
    }
}

/// Engines that keep rows as they come, so that what is there can be counted.
const PLAIN: [&str; 2] = ["MergeTree", "ReplicatedMergeTree"];
/// Engines of tables that pass rows on.
const PASSING: [&str; 3] = ["Distributed", "Buffer", "Null"];

/// Whether engine, sorting key and partition key are what the spec wants. A
/// table that somebody else made may have any engine that takes rows; the keys
/// of those that merge or pass rows on are their own affair.
pub fn check_table(existing: &ExistingTable, spec: &TableSpec) -> Result<(), Incompatible> {
    let engine = existing.engine.as_str();
    let (right, wanted) = if spec.existing {
        let takes_rows = engine.ends_with("MergeTree") || PASSING.contains(&engine);
        (takes_rows, format!("use a table of a MergeTree engine, or of {}", PASSING.join(", ")))
    } else {
        let wanted = spec.engine.as_str();
        (engine == wanted, format!("not {wanted}: use another table"))
    };
    if !right {
        return Err(Incompatible(format!("the table's engine is {engine}; {wanted}")));
    }
    if !PLAIN.contains(&engine) {
        return Ok(());
    }
    let sorting_key = spec.sorting_key().collect::<Vec<_>>().join(", ");
    if plain(&existing.sorting_key) != sorting_key {
        return Err(Incompatible(format!(
            "the table is sorted by ({}), not by ({sorting_key}): write orderBy as the table has it, or use another table",
            existing.sorting_key
        )));
    }
    let partition_key = spec.partition_by.as_ref().map(|by| plain(&by.expression())).unwrap_or_default();
    if plain(&existing.partition_key) != partition_key {
        return Err(Incompatible(format!(
            "the table is partitioned by ({}), not by ({partition_key}): write partitionBy as the table has it, or use \
             another table",
            existing.partition_key
        )));
    }
    Ok(())
}

/// What keeps rows from being there exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Engine,
    MaterializedView,
    Settings,
}

/// An obstacle, and what would remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downgrade {
    pub obstacle: Obstacle,
    pub message: String,
}

/// Why a table can't hold every row exactly once: it must keep rows as they
/// come, feed nothing else, remember tokens, and keep what it confirmed.
pub fn downgrades(existing: &ExistingTable, spec: &TableSpec) -> Vec<Downgrade> {
    let engine = existing.engine.as_str();
    let table = quote_table(&spec.database, &spec.table);
    if engine != "MergeTree" {
        let why = match engine {
            "Buffer" => "keeps rows in memory, and loses them when the server dies",
            _ if PASSING.contains(&engine) => "passes rows on, so that what is stored can't be counted",
            _ if PLAIN.contains(&engine) => "has replicas, for which exactly once is not there yet",
            _ => "merges rows, so that what was stored can't be counted",
        };
        let message = format!("the table's engine {engine} {why}: use a MergeTree table");
        return vec![Downgrade { obstacle: Obstacle::Engine, message }];
    }
    let mut found: Vec<_> = existing
        .views
        .iter()
        .map(|view| Downgrade {
            obstacle: Obstacle::MaterializedView,
            message: format!(
                "the materialized view {view} is filled from {table}, and may take rows twice that the table takes once, \
                 or not at all: drop it, or fill it from another table"
            ),
        })
        .collect();
    let missing = missing_settings(existing, spec);
    if !missing.is_empty() {
        let message = format!(
            "{table} forgets tokens or rows too soon: run ALTER TABLE {table} MODIFY SETTING {}",
            missing.join(", ")
        );
        found.push(Downgrade { obstacle: Obstacle::Settings, message });
    }
    found
}

fn missing_settings(existing: &ExistingTable, spec: &TableSpec) -> Vec<String> {
    let window = deduplication_window(&existing.engine_full).unwrap_or_default();
    let mut missing = Vec::new();
    // With less than it should have, ingestors hold inserts back by themselves.
    if window < spec.deduplication_window.min(DEDUPLICATION_WINDOW) {
        missing.push(format!("{WINDOW} = {}", spec.deduplication_window));
    }
    for setting in DURABLE.split(", ") {
        let (name, value) = setting.split_once(" = ").unwrap_or((setting, ""));
        if existing.setting(name) != Some(value) {
            missing.push(setting.to_owned());
        }
    }
    missing
}

/// The server quotes an identifier only where it must.
fn plain(expression: &str) -> String {
    expression.replace('`', "")
}
