//! Connection name and access → a client, shared by all pipelines that use the
//! connection and replaced when its address or credentials change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A client that nobody asked for this long is dropped. Longer than the resync
/// period, so a client in use stays.
const IDLE: Duration = Duration::from_mins(20);

/// Clients by connection name.
pub struct Cache<Access, Client> {
    slots: Mutex<HashMap<String, Slot<Access, Client>>>,
}

struct Slot<Access, Client> {
    access: Access,
    client: Arc<Client>,
    used: Instant,
}

impl<Access, Client> Default for Cache<Access, Client> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<Access: PartialEq + Clone, Client> Cache<Access, Client> {
    /// The client of connection `name`; `connect` is called when there is none
    /// or when it was made for another access.
    pub fn get<Error>(
        &self,
        name: &str,
        access: &Access,
        connect: impl FnOnce(&Access) -> Result<Client, Error>,
    ) -> Result<Arc<Client>, Error> {
        let now = Instant::now();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot, kept| slot == name || now.duration_since(kept.used) < IDLE);
        if let Some(slot) = slots.get_mut(name).filter(|slot| slot.access == *access) {
            slot.used = now;
            return Ok(Arc::clone(&slot.client));
        }
        let client = Arc::new(connect(access)?);
        let slot = Slot { access: access.clone(), client: Arc::clone(&client), used: now };
        slots.insert(name.to_owned(), slot);
        Ok(client)
    }

    /// All clients there are, with their connections' names.
    pub fn clients(&self) -> Vec<(String, Arc<Client>)> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().map(|(name, slot)| (name.clone(), Arc::clone(&slot.client))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_a_client_until_its_access_changes() {
        let cache = Cache::<&str, u32>::default();
        let get = |access, made| *cache.get("fleet/default", &access, |_| Ok::<_, ()>(made)).unwrap();
        assert_eq!(get("old password", 1), 1);
        assert_eq!(get("old password", 2), 1);
        assert_eq!(get("new password", 3), 3);
        assert_eq!(get("new password", 4), 3);
    }
}
