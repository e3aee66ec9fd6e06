//! What ingestors and their template say → which former plans the template must
//! mount, so that whoever finds an open intent of one can finish it.
//!
//! Pods roll for a former plan at most once: with the plan that replaces it, or
//! when an intent turns out to name one that is not mounted. A plan that no
//! intent names any more goes (see [`super::collect`]) while the template keeps
//! its optional mount until the next plan.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::build::{FORMER_PLANS_VOLUME, Owner, PLAN_ANNOTATION, Relation, plan_name};
use super::collect::named_by_intents;
use super::error::Error;
use super::fetch::Fetched;
use crate::context::Context;

/// Name of the ConfigMap with the plan that a workload's pods run.
pub fn mounted(deployment: &Deployment) -> Option<&str> {
    let template = &deployment.spec.as_ref()?.template;
    template.metadata.as_ref()?.annotations.as_ref()?.get(PLAN_ANNOTATION).map(String::as_str)
}

/// Names of the ConfigMaps with former plans that a workload's pods mount.
fn mounted_formers(deployment: &Deployment) -> BTreeSet<String> {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let volumes = pod.and_then(|pod| pod.volumes.as_ref()).into_iter().flatten();
    let projected = volumes
        .filter(|volume| volume.name == FORMER_PLANS_VOLUME)
        .filter_map(|volume| volume.projected.as_ref());
    projected
        .flat_map(|projected| projected.sources.iter().flatten())
        .filter_map(|source| Some(source.config_map.as_ref()?.name.clone()))
        .collect()
}

/// The plans to mount beside `current`, by ConfigMap name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Mounted already; leaving one out would start the pods anew.
    kept: BTreeSet<String>,
    /// To be mounted if they are still there.
    added: BTreeSet<String>,
}

fn wanted(current: &str, running: Option<&Deployment>, named: BTreeSet<String>) -> Wanted {
    let mut wanted = Wanted { kept: BTreeSet::new(), added: named };
    if let Some(running) = running {
        let formers = mounted_formers(running);
        match mounted(running) {
            Some(before) if before == current => wanted.kept = formers,
            before => {
                // The pods start anew in any case, and whoever dies on the way
                // leaves an intent of the plan it ran.
                wanted.added.extend(formers);
                wanted.added.extend(before.map(str::to_owned));
            }
        }
    }
    wanted.added.retain(|name| name != current && !wanted.kept.contains(name));
    wanted
}

/// Revisions of the former plans to mount beside the ConfigMap `current`.
pub async fn formers(context: &Context, fetched: &Fetched, current: &str) -> Result<BTreeSet<String>, Error> {
    let owner = &fetched.owner;
    let open = named_by_intents(&fetched.ingestors);
    let open = open.iter().map(|revision| plan_name(owner, revision)).collect();
    let Wanted { kept: mut names, added } = wanted(current, fetched.ingestor.as_ref(), open);
    let plans: Api<ConfigMap> = Api::namespaced(context.client.clone(), &owner.namespace);
    for name in added {
        let found =
            plans.get_metadata_opt(&name).await.map_err(Error::kubernetes("look up a former plan"))?;
        if found.is_some_and(|found| owner.relation_to(&found.metadata) == Relation::Ours) {
            names.insert(name);
        }
    }
    Ok(names.iter().filter_map(|name| revision(owner, name)).collect())
}

fn revision(owner: &Owner, name: &str) -> Option<String> {
    name.strip_prefix(&plan_name(owner, "")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn running(plan: &str, formers: &[&str]) -> Deployment {
        let sources: Vec<_> =
            formers.iter().map(|name| json!({"configMap": {"name": name, "optional": true}})).collect();
        serde_json::from_value(json!({"spec": {"selector": {}, "template": {
            "metadata": {"annotations": {"caudal.dev/plan": plan}},
            "spec": {"containers": [], "volumes": [
                {"name": "plan", "configMap": {"name": plan}},
                {"name": "former-plans", "projected": {"sources": sources}},
            ]},
        }}}))
        .unwrap()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn without_a_change_what_is_mounted_stays_even_if_nobody_needs_it() {
        let kept = Wanted { kept: names(&["old"]), added: names(&[]) };
        assert_eq!(wanted("new", Some(&running("new", &["old"])), names(&[])), kept);
        assert_eq!(wanted("new", Some(&running("new", &["old"])), names(&["old", "new"])), kept);
    }

    #[test]
    fn a_plan_that_an_intent_names_and_no_pod_mounts_is_added() {
        let found = wanted("new", Some(&running("new", &["old"])), names(&["older"]));
        assert_eq!(found, Wanted { kept: names(&["old"]), added: names(&["older"]) });
        assert_eq!(wanted("new", None, names(&["old"])).added, names(&["old"]));
    }

    #[test]
    fn a_plan_that_is_replaced_is_mounted_beside_the_new_one() {
        let found = wanted("newer", Some(&running("new", &["old"])), names(&[]));
        assert_eq!(found, Wanted { kept: names(&[]), added: names(&["new", "old"]) });
        // Back to the one before.
        assert_eq!(wanted("old", Some(&running("new", &["old"])), names(&[])).added, names(&["new"]));
    }

    #[test]
    fn a_name_gives_back_its_revision() {
        let owner = Owner { namespace: "shop".into(), name: "orders".into(), uid: "u".into() };
        assert_eq!(revision(&owner, &plan_name(&owner, "0123456789")).as_deref(), Some("0123456789"));
        assert_eq!(revision(&owner, "other-plan-1"), None);
    }
}
