//! An account without rights and without a token, so that a pod has not even
//! those of its namespace's default account.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::labels::{Component, Owner};

pub fn build(owner: &Owner, component: Component) -> ServiceAccount {
    ServiceAccount {
        metadata: owner.metadata(component, owner.object_name(component)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
