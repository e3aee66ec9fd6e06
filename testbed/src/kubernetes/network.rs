//! A stack's number → its addresses and names, so that stacks do not meet.
//!
//! The addresses are of 198.18.0.0/15, set aside for tests of networks (RFC
//! 2544). Some proxies and private networks take it for themselves all the
//! same: the preflight looks.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Where all addresses are from.
pub const RANGE: &str = "198.18.0.0/15";
/// The length of the prefix of the link between host and node.
pub const LINK_LENGTH: u8 = 30;
/// How many stacks one machine can have.
pub const INSTANCES: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub instance: u8,
}

impl Network {
    /// This machine, as pods see it.
    pub fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.instance, 1)
    }

    /// The node, as this machine sees it.
    pub fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.instance, 2)
    }

    pub fn pods(self) -> String {
        format!("198.19.{}.0/24", self.instance)
    }

    pub fn services(self) -> String {
        format!("198.18.{}.0/22", 128 + 4 * self.instance)
    }

    /// The name of the node, of its link on this machine and of its cgroup.
    pub fn name(self) -> String {
        format!("caudal{}", self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_instance_still_has_addresses() {
        let last = Network { instance: INSTANCES - 1 };
        assert_eq!(last.services(), "198.18.188.0/22");
        assert_eq!(last.pods(), "198.19.15.0/24");
        assert_eq!(last.host(), Ipv4Addr::new(198, 18, 15, 1));
    }
}
