//! A workload: its binary with its plan and credentials as files, under pod
//! security `restricted`.

use std::collections::BTreeSet;

use caudal_model::fleet::Image;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction,
    KeyToPath, Lifecycle, LifecycleHandler, LocalObjectReference, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ProjectedVolumeSource, SeccompProfile, SecretVolumeSource, SecurityContext,
    SleepAction, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{Component, Owner, PLAN_ANNOTATION};
use super::{WorkloadSpec, credentials, map, plan};
use crate::external::ingestors::ADMIN_PORT;

pub const ADMIN_PORT_NAME: &str = "admin";
pub const HTTP_PORT_NAME: &str = "http";

const HTTP_PORT: i32 = 8080;
const PLAN_FOLDER: &str = "/etc/caudal/plan";
/// `<revision>.json` of each former plan that an open intent may name.
const FORMER_PLANS_FOLDER: &str = "/etc/caudal/plans";
/// The volume behind that folder; there only when it is needed.
pub const FORMER_PLANS_VOLUME: &str = "former-plans";
const CREDENTIALS_FOLDER: &str = "/etc/caudal/credentials";
/// On pods: changes with the content of the credentials.
const CREDENTIALS_ANNOTATION: &str = "caudal.dev/credentials-checksum";
/// User and group of the image.
const USER: i64 = 65532;

pub fn build(owner: &Owner, component: Component, image: &Image, spec: &WorkloadSpec) -> Deployment {
    let plan_name = spec.plan.name(owner);
    let annotations =
        map([(PLAN_ANNOTATION, &plan_name), (CREDENTIALS_ANNOTATION, &spec.credentials.checksum())]);
    Deployment {
        metadata: owner.metadata(component, owner.object_name(component)),
        spec: Some(DeploymentSpec {
            replicas: Some(spec.replicas),
            revision_history_limit: Some(2),
            selector: owner.selector(component),
            strategy: Some(strategy(component)),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(owner.labels(component)),
                    annotations: Some(annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(owner, component, image, &plan_name, spec)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A surplus ingestor would only make the group rebalance once more; an API
/// pod too few would be missed.
fn strategy(component: Component) -> DeploymentStrategy {
    let (surge, unavailable) = match component {
        Component::Ingestor => (0, 1),
        Component::Api => (1, 0),
    };
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(surge)),
            max_unavailable: Some(IntOrString::Int(unavailable)),
        }),
    }
}

fn pod(owner: &Owner, component: Component, image: &Image, plan_name: &str, spec: &WorkloadSpec) -> PodSpec {
    let pull_secrets: Vec<_> =
        image.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    PodSpec {
        service_account_name: Some(owner.object_name(component)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(match component {
            Component::Ingestor => 60,
            Component::Api => 30,
        }),
        containers: vec![container(component, image, spec)],
        volumes: Some(volumes(owner, component, plan_name, spec)),
        ..PodSpec::default()
    }
}

fn volumes(owner: &Owner, component: Component, plan_name: &str, spec: &WorkloadSpec) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "plan".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: plan_name.to_owned(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "credentials".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(credentials::name(owner, component)),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    if !spec.former_plans.is_empty() {
        volumes.push(former_plans(owner, &spec.former_plans));
    }
    volumes
}

/// Optional each: once no intent names a plan its ConfigMap goes, and running
/// pods need no new template for that.
fn former_plans(owner: &Owner, revisions: &BTreeSet<String>) -> Volume {
    let source = |revision: &String| VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: plan::name(owner, revision),
            optional: Some(true),
            items: Some(vec![KeyToPath {
                key: plan::KEY.to_owned(),
                path: format!("{revision}.json"),
                mode: None,
            }]),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: FORMER_PLANS_VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(revisions.iter().map(source).collect()),
            default_mode: None,
        }),
        ..Volume::default()
    }
}

fn container(component: Component, image: &Image, spec: &WorkloadSpec) -> Container {
    let plan_file = format!("{PLAN_FOLDER}/{}", plan::KEY);
    let mut arguments = vec!["--plan", &plan_file, "--credentials", CREDENTIALS_FOLDER];
    let mut mounts = vec![mount("plan", PLAN_FOLDER), mount("credentials", CREDENTIALS_FOLDER)];
    if !spec.former_plans.is_empty() {
        arguments.extend(["--plans", FORMER_PLANS_FOLDER]);
        mounts.push(mount(FORMER_PLANS_VOLUME, FORMER_PLANS_FOLDER));
    }
    let mut ports = vec![port(ADMIN_PORT_NAME, i32::from(ADMIN_PORT))];
    if component == Component::Api {
        ports.push(port(HTTP_PORT_NAME, HTTP_PORT));
    }
    Container {
        name: component.as_str().to_owned(),
        image: Some(image.reference()),
        image_pull_policy: Some(image.pull_policy.as_str().to_owned()),
        command: Some(vec![component.binary().to_owned()]),
        args: Some(arguments.into_iter().map(str::to_owned).collect()),
        ports: Some(ports),
        resources: Some(spec.resources.to_requirements()),
        // Generous at first, strict later: a slow start is no fault.
        startup_probe: Some(probe("/healthz", 1, 60)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        lifecycle: (component == Component::Api).then(sleep_before_stop),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// Until every node knows that the pod goes, requests still come.
fn sleep_before_stop() -> Lifecycle {
    let sleep = LifecycleHandler { sleep: Some(SleepAction { seconds: 3 }), ..LifecycleHandler::default() };
    Lifecycle { pre_stop: Some(sleep), ..Lifecycle::default() }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn mount(volume: &str, folder: &str) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: folder.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
