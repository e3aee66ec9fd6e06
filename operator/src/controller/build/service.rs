//! The address of the API inside the cluster.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::deployment::HTTP_PORT_NAME;
use super::labels::{Component, Owner};

pub fn build(owner: &Owner) -> Service {
    let port = ServicePort {
        name: Some(HTTP_PORT_NAME.to_owned()),
        port: 80,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(HTTP_PORT_NAME.to_owned())),
        ..ServicePort::default()
    };
    Service {
        metadata: owner.metadata(Component::Api, owner.object_name(Component::Api)),
        spec: Some(ServiceSpec {
            selector: Some(owner.selector_labels(Component::Api)),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
