//! The data credentials a workload gets, as a Secret of files.

use std::collections::BTreeMap;
use std::fmt;

use caudal_service::credentials::Login;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sha2::{Digest, Sha256};

use super::labels::{Component, Owner};

/// File name → content; never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<String, String>);

impl fmt::Debug for Files {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl Files {
    /// Adds `<part>-username`, `<part>-password` and `<part>-ca.crt`, those of
    /// them that there are; `part` is `kafka` or `clickhouse`.
    #[must_use]
    pub fn with(mut self, part: &str, login: Option<&Login>, ca: Option<&str>) -> Self {
        if let Some(Login { username, password }) = login {
            self.0.insert(format!("{part}-username"), username.clone());
            self.0.insert(format!("{part}-password"), password.clone());
        }
        if let Some(ca) = ca {
            self.0.insert(format!("{part}-ca.crt"), ca.to_owned());
        }
        self
    }

    /// Changes when the content changes, so that pods read it anew.
    pub(super) fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for (name, content) in &self.0 {
            for part in [name, content] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let digest = hash.finalize();
        let start = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        format!("{start:016x}")
    }
}

/// `<pipeline>-<component>-credentials`.
pub(super) fn name(owner: &Owner, component: Component) -> String {
    format!("{}-credentials", owner.object_name(component))
}

pub fn build(owner: &Owner, component: Component, files: &Files) -> Secret {
    let data = files.0.iter().map(|(name, content)| (name.clone(), ByteString(content.clone().into_bytes())));
    Secret {
        metadata: owner.metadata(component, name(owner, component)),
        type_: Some("Opaque".to_owned()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}
