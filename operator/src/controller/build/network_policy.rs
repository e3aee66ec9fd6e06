//! Who may connect to a workload: everybody to the API's port; the operator's
//! namespace, and namespaces labelled for it, to the admin port.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::deployment::{ADMIN_PORT_NAME, HTTP_PORT_NAME};
use super::labels::{Component, Owner};
use super::map;

/// Namespaces with `caudal.dev/monitoring: "true"` may read metrics.
const MONITORING_LABEL: &str = "caudal.dev/monitoring";

pub fn build(owner: &Owner, component: Component, operator_namespace: &str) -> NetworkPolicy {
    let peers = vec![
        namespaces("kubernetes.io/metadata.name", operator_namespace),
        namespaces(MONITORING_LABEL, "true"),
    ];
    let mut ingress = vec![rule(ADMIN_PORT_NAME, Some(peers))];
    if component == Component::Api {
        ingress.push(rule(HTTP_PORT_NAME, None));
    }
    NetworkPolicy {
        metadata: owner.metadata(component, owner.object_name(component)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(owner.selector(component)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            egress: None,
        }),
    }
}

fn rule(port: &str, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    let port = NetworkPolicyPort {
        port: Some(IntOrString::String(port.to_owned())),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicyIngressRule { from, ports: Some(vec![port]) }
}

fn namespaces(label: &str, value: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(map([(label, value)])),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}
