//! Files of a turn, each once.

use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::types::{Error, FileRef};

use super::Stage;
use crate::api::{To, Wire};
use crate::code;
use crate::markdown::quiet;

/// Images and files: open.feishu.cn/document/server-docs/im-v1/image/create and file/create.
const IMAGE_MAX: u32 = 10 << 20;
pub(crate) const FILE_MAX: u32 = 30 << 20;

impl<W: Wire> Stage<'_, W> {
    /// Puts a file into the chat, once. What Feishu does not take is said.
    pub(super) fn file(&mut self, file: &FileRef) -> Result<(), Error> {
        if self.memory.files.contains(&file.id) {
            return Ok(());
        }
        let uuid = format!("{}-f{}", self.target.nonce, self.memory.files.len());
        let (kind, content) = self.uploaded(file)?;
        loop {
            let to = self.place();
            match self.api.post(to, kind, &content, &uuid) {
                Ok(_) => break,
                Err(failure) if failure.is(&code::WITHDRAWN) && matches!(to, To::Reply(..)) => {
                    self.memory.alone += 1;
                }
                Err(failure) => return Err(failure.error),
            }
        }
        self.memory.files.push(file.id.clone());
        self.save()
    }

    fn uploaded(&self, file: &FileRef) -> Result<(&'static str, Value), Error> {
        let say = |why: String| Ok(("text", json!({ "text": quiet(&why) })));
        if file.size_bytes == 0 {
            return say(format!("📎 {}: empty, and Feishu takes no empty files", file.name));
        }
        if file.size_bytes > FILE_MAX {
            return say(format!(
                "📎 {}: {} MB, and Feishu takes 30 MB at most",
                file.name,
                file.size_bytes >> 20
            ));
        }
        let image = ["image/png", "image/jpeg", "image/gif", "image/webp"].contains(&file.media_type.as_str());
        if image && file.size_bytes <= IMAGE_MAX {
            match self.api.upload_image(file) {
                Ok(key) => return Ok(("image", json!({ "image_key": key }))),
                // An image that Feishu cannot read is a file.
                Err(failure) if matches!(failure.error, Error::Rejected(_)) => {}
                Err(failure) => return Err(failure.error),
            }
        }
        let key = self.api.upload_file(file)?;
        Ok(("file", json!({ "file_key": key })))
    }
}
