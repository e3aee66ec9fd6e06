//! Records → files of Native blocks, made by ClickHouse itself before anything is measured.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, ensure};
use caudal_model::ddl::quote_identifier;

use super::http::Connection;
use crate::parts::{BLOCK_ROWS, DATABASE, PARTITIONS, Stage};
use crate::records::Workload;

/// One file per block. The blocks of a partition hold every sixth record, as in the topic.
pub struct Blocks(tempfile::TempDir);

impl Blocks {
    pub fn prepare(stage: &Stage, workload: Workload, messages: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut server = Connection::open(stage.clickhouse.http_port())?;
        let partitions = u64::from(PARTITIONS.cast_unsigned());
        let mut number = 0;
        for partition in 0..partitions {
            let ids: Vec<u64> =
                (partition..messages).step_by(usize::try_from(partitions).unwrap_or(1)).collect();
            let mut first = 0;
            for ids in ids.chunks(usize::try_from(BLOCK_ROWS)?) {
                let block = make(stage, &mut server, workload, ids, partition, first)?;
                let path = folder.path().join(format!("{number:06}"));
                std::fs::write(&path, block).with_context(|| format!("write {}", path.display()))?;
                number += 1;
                first += ids.len();
            }
        }
        stage.drop_tables()?;
        Ok(Self(folder))
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// All blocks of a folder, in memory.
    pub fn load(folder: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
        paths.sort();
        paths
            .iter()
            .map(|path| std::fs::read(path).with_context(|| format!("read {}", path.display())))
            .collect()
    }
}

fn make(
    stage: &Stage,
    server: &mut Connection,
    workload: Workload,
    ids: &[u64],
    partition: u64,
    first: usize,
) -> anyhow::Result<Vec<u8>> {
    let columns = workload.fields().into_iter().fold(String::new(), |mut columns, field| {
        let comma = if columns.is_empty() { "" } else { ", " };
        let (name, kind) = (quote_identifier(&field.name), &field.column_type);
        let _ = if field.nullable {
            write!(columns, "{comma}{name} Nullable({kind})")
        } else {
            write!(columns, "{comma}{name} {kind}")
        };
        columns
    });
    stage.drop_tables()?;
    stage.clickhouse.query(&format!("CREATE DATABASE {DATABASE}"))?;
    stage.clickhouse.query(&format!("CREATE TABLE {DATABASE}.contents ({columns}) ENGINE = Memory"))?;
    let text: Vec<u8> = ids.iter().flat_map(|id| workload.record(*id).value.unwrap_or_default()).collect();
    server.post(&format!("INSERT INTO {DATABASE}.contents FORMAT JSONEachRow"), &text)?;
    let block = server.post(
        &format!(
            "SELECT *, toUInt64(1) AS _kafka_source, toInt32({partition}) AS _kafka_partition,
                 toInt64({first} + rowNumberInAllBlocks()) AS _kafka_offset,
                 toDateTime64(1800000000 + id / 3000, 3, 'UTC') AS _kafka_timestamp
             FROM (SELECT * FROM {DATABASE}.contents ORDER BY id)
             SETTINGS max_block_size = 1048576, preferred_block_size_bytes = 0, max_threads = 1 FORMAT Native"
        ),
        b"",
    )?;
    let rows = rows(&block).context("read a Native block")?;
    ensure!(rows == ids.len() as u64, "ClickHouse made a block of {rows} rows out of {}", ids.len());
    Ok(block)
}

/// Rows of the first block: the second variable-length number.
fn rows(block: &[u8]) -> Option<u64> {
    let mut bytes = block.iter();
    let mut number = || {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = u64::from(*bytes.next()?);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    };
    number()?;
    number()
}
