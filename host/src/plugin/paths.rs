//! Requests on the paths that plugins answer themselves, below `/_ccproxy/plugins/<id>/`.

use super::answers::{Answer, Message};
use super::registry::Registry;
use crate::fault::Fault;
use crate::model::Name;

impl Registry {
    /// Has a plugin answer a request, or nothing if no plugin has this id and declares this path. Who may ask
    /// is the guard's business, which knows the public ones.
    pub async fn answer(&self, id: &str, message: Message) -> Result<Option<Answer>, Fault> {
        let path = message.path_and_query.split('?').next().unwrap_or_default();
        let Some(id) = self.declaring(id, path) else { return Ok(None) };
        // Loading is for those who start and reload; a request does not wait for it.
        let plugin = self.get(&id).ok_or_else(|| self.missing(&id))?;
        plugin.handle(message).await.map(Some)
    }

    /// The plugin of this id, if there is one and it declares this path.
    pub fn declaring(&self, id: &str, path: &str) -> Option<Name> {
        let id = id.parse::<Name>().ok()?;
        let declares = self.manifests().get(&id)?.paths.iter().any(|handled| handled.path == path);
        declares.then_some(id)
    }
}
