//! Blocks of several partitions → one insert: at least once.

use bytes::Bytes;

use super::{Connection, Form, MAX_EXECUTION_SECONDS, Sink, SinkError};
use crate::fail;
use crate::source::Unsent;

/// More than any request of ours has, so that its blocks become one part.
const ROWS: &str = "1048449";
const BYTES: &str = "268435456";

impl Sink {
    /// Sends blocks of one form, one after the other in one body: the server
    /// makes one part of them in each of the table's partitions. `again`: not for
    /// the first time, so that the name may by now belong to another table.
    pub async fn send(&self, blocks: &[Unsent], again: bool) -> Result<(), SinkError> {
        let Some(Unsent { form, .. }) = blocks.first() else { return Ok(()) };
        // Some ranges have no rows.
        let full = blocks.iter().filter(|one| one.block.rows() > 0);
        let pieces: Vec<Bytes> = full.flat_map(|one| one.block.pieces()).collect();
        if pieces.is_empty() {
            return Ok(());
        }
        // Closed never.
        let _turn = self.turns.acquire().await.ok();
        let mut connection = self.server.connect().await?;
        if again {
            self.check_table(&mut connection, form).await?;
        }
        self.insert_plainly(&mut connection, form, pieces).await?;
        self.server.keep(connection);
        Ok(())
    }

    async fn insert_plainly(
        &self,
        connection: &mut Connection,
        form: &Form,
        pieces: Vec<Bytes>,
    ) -> Result<(), SinkError> {
        let seconds = MAX_EXECUTION_SECONDS.to_string();
        let parameters = [
            ("query", form.insert.as_str()),
            ("async_insert", "0"),
            ("insert_deduplicate", "0"),
            ("deduplicate_insert", "disable"),
            ("input_format_skip_unknown_fields", "0"),
            ("timeout_overflow_mode", "throw"),
            ("max_partitions_per_insert_block", "0"),
            ("max_insert_threads", "1"),
            ("min_insert_block_size_rows", ROWS),
            ("min_insert_block_size_bytes", BYTES),
            // A Distributed table answers when its shards have the rows.
            ("distributed_foreground_insert", "1"),
            ("send_progress_in_http_headers", "0"),
            ("wait_end_of_query", "1"),
            ("max_execution_time", seconds.as_str()),
        ];
        let act = "insert blocks";
        fail::point("before_send");
        let answer = self.server.request(connection, act, &parameters, pieces, None).await;
        fail::point("after_send");
        if answer?.is_empty() {
            Ok(())
        } else {
            Err(SinkError::unreachable(act, "an answer was not expected"))
        }
    }
}
