//! Fields with parsed paths, types and defaults, and the fields that others refer to.

use super::{Violation, path};
use crate::ddl::{PartitionBy, Ttl};
use crate::plan::Field;
use crate::resource::{self, ClickHouseSink, DataPipelineSpec, TimestampFormat};
use crate::timestamp;
use crate::types::ColumnType;
use crate::value::parse_default;

pub(super) fn fields(fields: &[resource::Field]) -> Result<Vec<Field>, Vec<Violation>> {
    let mut found = Vec::new();
    let parsed =
        fields.iter().filter_map(|field| parse(field).map_err(|violation| found.push(violation)).ok());
    let parsed: Vec<_> = parsed.collect();
    found.extend(path::conflicts(&parsed));
    if found.is_empty() { Ok(parsed) } else { Err(found) }
}

fn parse(field: &resource::Field) -> Result<Field, Violation> {
    let at = |leaf: &str| format!("spec.schema.fields[{}].{leaf}", field.name);
    let column_type: ColumnType = field
        .column_type
        .parse()
        .map_err(|error: crate::types::UnknownType| Violation::new(at("type"), error.to_string()))?;
    if field.nullable && field.default.is_some() {
        let message = "an absent nullable field becomes NULL; leave out default, or nullable";
        return Err(Violation::new(at("default"), message));
    }
    let format = field.timestamp_format;
    if !format.is_iso8601() && !matches!(column_type, ColumnType::Date | ColumnType::DateTime64 { .. }) {
        let message =
            format!("{column_type} is no moment; leave it out, or make the type Date or DateTime64");
        return Err(Violation::new(at("timestampFormat"), message));
    }
    let path = match &field.from {
        Some(from) if *from != field.name => {
            path::parse(from).map_err(|advice| Violation::new(at("from"), format!("{from:?}: {advice}")))?
        }
        _ => Vec::new(),
    };
    let default = match &field.default {
        None => None,
        Some(text) => {
            let wrong =
                |advice| Violation::new(at("default"), format!("{text:?} is no {column_type}: {advice}"));
            let text = match format {
                TimestampFormat::Iso8601 => text.clone(),
                format => timestamp::to_iso(format, text, &column_type).map_err(wrong)?,
            };
            Some(parse_default(&column_type, &text).map_err(wrong)?)
        }
    };
    Ok(Field {
        name: field.name.clone(),
        path,
        column_type,
        timestamp_format: format,
        nullable: field.nullable,
        default,
    })
}

fn find<'a>(fields: &'a [Field], name: &str, path: &str) -> Result<&'a Field, Violation> {
    fields.iter().find(|field| field.name == name).ok_or_else(|| {
        Violation::new(path, format!("{name:?} is no field; write the name of one in spec.schema.fields"))
    })
}

/// Whether sorting key and API key name fields they can use.
pub(super) fn check_keys(spec: &DataPipelineSpec, fields: &[Field]) -> Vec<Violation> {
    let order_by = spec.sink.clickhouse.order_by.iter().map(|name| {
        let path = "spec.sink.clickhouse.orderBy";
        let field = find(fields, name, path)?;
        if field.nullable {
            return Err(Violation::new(
                path,
                format!("{name:?} is nullable and can't be sorted by; give it a default"),
            ));
        }
        Ok(())
    });
    let key = spec.api.as_ref().map(|api| find(fields, &api.key, "spec.api.key").map(|_| ()));
    order_by.chain(key).filter_map(Result::err).collect()
}

pub(super) fn table_fields(
    sink: &ClickHouseSink,
    fields: &[Field],
) -> Result<(Option<PartitionBy>, Option<Ttl>), Vec<Violation>> {
    let partition_by = sink.partition_by.as_ref().map(|wanted| {
        let column_type = moment(fields, &wanted.field, "spec.sink.clickhouse.partitionBy.field")?;
        Ok(PartitionBy { field: wanted.field.clone(), column_type, by: wanted.by })
    });
    let ttl = sink.ttl.as_ref().map(|wanted| {
        let column_type = moment(fields, &wanted.field, "spec.sink.clickhouse.ttl.field")?;
        Ok(Ttl { field: wanted.field.clone(), column_type, days: super::topic::days(wanted.days) })
    });
    match (partition_by.transpose(), ttl.transpose()) {
        (Ok(partition_by), Ok(ttl)) => Ok((partition_by, ttl)),
        (partition_by, ttl) => Err([partition_by.err(), ttl.err()].into_iter().flatten().collect()),
    }
}

/// The type of a field that says when.
fn moment(fields: &[Field], name: &str, path: &str) -> Result<ColumnType, Violation> {
    let field = find(fields, name, path)?;
    match &field.column_type {
        column_type @ (ColumnType::Date | ColumnType::DateTime64 { .. }) if !field.nullable => {
            Ok(column_type.clone())
        }
        _ => Err(Violation::new(path, format!("{name:?} must be a Date or DateTime64 that is not nullable"))),
    }
}
