//! Connection name and access → a client, shared by all pipelines that use the
//! connection and replaced when its address or credentials change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

/// A client that nobody asked for this long is dropped. Longer than the resync
/// period, so a client in use stays.
const IDLE: Duration = Duration::from_mins(20);

/// Clients by connection name.
pub struct Cache<Access, Client> {
    slots: Mutex<HashMap<String, Slot<Access, Client>>>,
}

struct Slot<Access, Client> {
    access: Access,
    /// Empty until somebody has connected; those who ask meanwhile wait.
    client: Shared<Client>,
    used: Instant,
}

/// A slot's client.
type Shared<Client> = Arc<OnceCell<Arc<Client>>>;

impl<Access, Client> Default for Cache<Access, Client> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<Access, Client> Cache<Access, Client>
where
    Access: PartialEq + Clone + Send + 'static,
    Client: Send + Sync + 'static,
{
    /// The client of connection `name`; `connect` is called when there is none
    /// or when it was made for another access. It may block, and so may the end
    /// of a client: both happen off the async threads, and not under the lock.
    pub async fn get<Error: Send + 'static>(
        &self,
        name: &str,
        access: &Access,
        connect: impl FnOnce(&Access) -> Result<Client, Error> + Send + 'static,
    ) -> Result<Arc<Client>, Error> {
        let (client, former) = self.slot(name, access);
        if !former.is_empty() {
            tokio::task::spawn_blocking(move || drop(former));
        }
        let access = access.clone();
        let made = client.get_or_try_init(async || {
            let made = tokio::task::spawn_blocking(move || connect(&access)).await;
            made.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())).map(Arc::new)
        });
        made.await.cloned()
    }

    /// The slot for an access, and the slots that nobody needs any more.
    fn slot(&self, name: &str, access: &Access) -> (Shared<Client>, Vec<Slot<Access, Client>>) {
        let now = Instant::now();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let idle =
            |slot: &String, kept: &mut Slot<_, _>| slot != name && now.duration_since(kept.used) >= IDLE;
        let mut former: Vec<_> = slots.extract_if(idle).map(|(_, slot)| slot).collect();
        if let Some(slot) = slots.get_mut(name).filter(|slot| slot.access == *access) {
            slot.used = now;
            return (Arc::clone(&slot.client), former);
        }
        let client = Arc::default();
        let slot = Slot { access: access.clone(), client: Arc::clone(&client), used: now };
        former.extend(slots.insert(name.to_owned(), slot));
        (client, former)
    }

    /// All clients there are, with their connections' names.
    pub fn clients(&self) -> Vec<(String, Arc<Client>)> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter_map(|(name, slot)| Some((name.clone(), Arc::clone(slot.client.get()?)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_a_client_until_its_access_changes() {
        let cache = Cache::<&str, u32>::default();
        let get = async |access, made| {
            *cache.get("fleet/default", &access, move |_| Ok::<_, ()>(made)).await.unwrap()
        };
        assert_eq!(get("old password", 1).await, 1);
        assert_eq!(get("old password", 2).await, 1);
        assert_eq!(get("new password", 3).await, 3);
        assert_eq!(get("new password", 4).await, 3);
    }

    #[tokio::test]
    async fn a_failed_connection_is_tried_again_and_is_no_client() {
        let cache = Cache::<(), u32>::default();
        assert_eq!(cache.get("fleet/default", &(), |()| Err("no")).await.err(), Some("no"));
        assert!(cache.clients().is_empty());
        assert_eq!(*cache.get("fleet/default", &(), |()| Ok::<_, ()>(7)).await.unwrap(), 7);
        assert_eq!(cache.clients().len(), 1);
    }
}
