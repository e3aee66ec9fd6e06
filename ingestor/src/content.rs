//! Plans → what decides a block's content, to build the block of an intent
//! again after the plan has changed.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use caudal_model::Plan;
use caudal_model::plan::Field;
use caudal_model::resource::UnknownFields;

use crate::block::Layout;
use crate::decode::{BadField, DECODER_VERSION, Decoder};
use crate::protocol::Origin;
use crate::sink::Form;

/// Everything that a block's content depends on besides the messages.
pub struct Content {
    pub origin: Origin,
    pub layout: Layout,
    /// How its blocks are inserted.
    pub form: Arc<Form>,
    fields: Vec<Field>,
    unknown_fields: UnknownFields,
    max_bytes: usize,
}

impl Content {
    /// `plan` is the ingestor's part. Finds defaults that are no values.
    pub fn new(plan: &Plan) -> anyhow::Result<Self> {
        let ingest = plan.ingest.as_ref().context("the plan has no part `ingest`")?;
        let layout = Layout::new(&plan.columns());
        let content = Self {
            origin: Origin { plan: plan.revision(), content: plan.content_revision(DECODER_VERSION) },
            form: Arc::new(Form::new(&plan.sink, &layout)),
            layout,
            fields: plan.fields.clone(),
            unknown_fields: plan.unknown_fields,
            max_bytes: usize::try_from(ingest.max_bytes)?,
        };
        content.decoder()?;
        Ok(content)
    }

    pub fn decoder(&self) -> Result<Decoder, BadField> {
        Decoder::new(&self.fields, self.unknown_fields, self.max_bytes)
    }
}

/// The plan that runs, and older ones that are at hand.
pub struct Contents {
    current: Arc<Content>,
    older: Vec<Arc<Content>>,
}

impl Contents {
    /// `directory` has older plans as `<plan revision>.json`. One that can't be
    /// used is told and left out: it may be of no consequence.
    pub fn new(current: Content, directory: Option<&Path>) -> anyhow::Result<Self> {
        let mut older = Vec::new();
        if let Some(directory) = directory {
            let act = || format!("read the older plans in {}", directory.display());
            for entry in std::fs::read_dir(directory).with_context(act)? {
                let path = entry.with_context(act)?.path();
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                match read(&path) {
                    Ok(content) => older.push(Arc::new(content)),
                    Err(error) => {
                        tracing::warn!(path = %path.display(), "leave an older plan out: {error:#}");
                    }
                }
            }
        }
        Ok(Self { current: Arc::new(current), older })
    }

    pub fn current(&self) -> &Arc<Content> {
        &self.current
    }

    /// Where blocks of this content revision can be built.
    pub fn find(&self, revision: &str) -> Option<&Arc<Content>> {
        let mut all = std::iter::once(&self.current).chain(&self.older);
        all.find(|content| content.origin.content == revision)
    }

    /// Whether the plan is at hand, whatever its content is to this build.
    pub fn knows_plan(&self, revision: &str) -> bool {
        self.older.iter().any(|content| content.origin.plan == revision)
    }
}

fn read(path: &Path) -> anyhow::Result<Content> {
    Content::new(&Plan::from_json(&std::fs::read_to_string(path)?)?.for_ingestor())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn plan(fields: &str, flush_delay_ms: u64) -> Plan {
        let text = format!(
            r#"{{"formatVersion":1,"pipeline":{{"namespace":"n","name":"p"}},
            "source":{{"connection":{{"bootstrapServers":"k:9092","securityProtocol":"PLAINTEXT"}},"topic":"t",
            "topicId":"i","clusterId":"c","group":"g","startFrom":{{"position":"earliest"}},
            "isolationLevel":"ReadCommitted","deadLetter":{{"topic":"d"}}}},"fields":[{fields}],
            "sink":{{"connection":{{"url":"http://c:8123"}},"database":"d","table":"t","tableUuid":"u",
            "ledgerTable":"t__ledger","orderBy":[]}},
            "ingest":{{"maxRows":1,"maxBytes":1000,"flushDelayMs":{flush_delay_ms},"memoryLimitBytes":1}}}}"#
        );
        Plan::from_json(&text).unwrap()
    }

    pub const ID: &str = r#"{"name":"id","type":"Int64"}"#;

    #[test]
    fn content_is_what_decides_rows_and_nothing_else() {
        let revision = |plan: &Plan| plan.content_revision(DECODER_VERSION);
        let one = plan(ID, 100);
        let slower = plan(ID, 200);
        assert_ne!(one.revision(), slower.revision());
        assert_eq!(revision(&one), revision(&slower));
        let nullable = r#"{"name":"id","type":"Int64","nullable":true}"#;
        assert_ne!(revision(&one), revision(&plan(nullable, 100)));
        let elsewhere = r#"{"name":"id","path":["key"],"type":"Int64"}"#;
        assert_ne!(revision(&one), revision(&plan(elsewhere, 100)));
        let strict = Plan { unknown_fields: UnknownFields::Reject, ..one.clone() };
        assert_ne!(revision(&one), revision(&strict));
        assert_ne!(revision(&one), one.content_revision(DECODER_VERSION + 1));
        let mut smaller = one.clone();
        smaller.ingest.as_mut().unwrap().max_bytes = 999;
        assert_ne!(revision(&one), revision(&smaller), "larger messages are rejected");
    }

    #[test]
    fn older_plans_come_from_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let older = plan(r#"{"name":"other","type":"String"}"#, 100);
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(&format!("{}.json", older.revision()), &older.to_json());
        write("broken.json", "{");
        write("README", "");
        let current = Content::new(&plan(ID, 100)).unwrap();
        let contents = Contents::new(current, Some(folder.path())).unwrap();
        let found = contents.find(&older.content_revision(DECODER_VERSION)).unwrap();
        assert_eq!(found.origin.plan, older.revision());
        assert!(contents.knows_plan(&older.revision()));
        assert!(contents.find("other").is_none());
    }
}
