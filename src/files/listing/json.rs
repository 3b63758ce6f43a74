//! The listing as JSON.

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeStruct;

use super::super::os;
use super::Listing;
use super::entry::Entry;
use super::entry::EntryKind;
use super::text;
use super::units::Utc;

impl Listing {
    /// `{"entries":[..],"omitted":0,"omitted_is_exact":true}`. An entry has `name` (bytes
    /// that are not UTF-8 are U+FFFD), `kind` (`file`, `folder`), `bytes` (`null` for a
    /// folder), `modified` (RFC 3339, `null` if the system has none), and `url`, relative
    /// to that of the listing: it has every byte of the name.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Listing", 3)?;
        fields.serialize_field("entries", &self.entries)?;
        fields.serialize_field("omitted", &self.omitted)?;
        fields.serialize_field("omitted_is_exact", &self.omitted_is_exact)?;
        fields.end()
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = os::name_bytes(&self.name);
        let mut url = String::with_capacity(2 * name.len());
        text::push_link(&name, &mut url);
        let (kind, bytes) = match self.kind {
            EntryKind::File => ("file", Some(self.bytes)),
            EntryKind::Folder => ("folder", None),
        };
        if self.kind == EntryKind::Folder {
            url.push('/');
        }
        let modified = self.modified.and_then(Utc::of).map(|utc| {
            let mut text = String::with_capacity(20);
            utc.push_rfc3339(&mut text);
            text
        });
        let mut fields = serializer.serialize_struct("Entry", 5)?;
        fields.serialize_field("name", &String::from_utf8_lossy(&name))?;
        fields.serialize_field("kind", kind)?;
        fields.serialize_field("bytes", &bytes)?;
        fields.serialize_field("modified", &modified)?;
        fields.serialize_field("url", &url)?;
        fields.end()
    }
}
