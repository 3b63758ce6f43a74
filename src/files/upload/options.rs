//! What clients may upload.

/// How clients may store files in the folder of a [`Files`](crate::Files):
/// [`Files::uploads`](crate::Files::uploads) takes it.
///
/// - **`PUT /folder/name`** stores the body as this file (RFC 9110 section 9.3.4): 201
///   with `Location` if it is new, 204 if it [replaces](Self::overwrite) another. A link
///   that leads to nothing that is served is replaced by a new file: 201. The `ETag` in the response is that of the file. `If-Match` and `If-None-Match`
///   are kept exactly: of two clients that replace the same version, one gets a 412.
/// - **`POST /folder/`** with `multipart/form-data`, as a form of a web page sends,
///   stores each file of the form under the last part of its name. Parts without a
///   file name are ignored. The response is a 303 to the folder for a client that
///   names `text/html` in `Accept`, and otherwise a 201 with the URL of each file on a
///   line of its own, or as `{"stored": [..]}` for a client that names, or prefers,
///   `application/json`. These URLs, and each `Location`, are relative to that of the
///   request, as in `./a%20b.txt`: they are right behind a proxy that removes a prefix.
///   All files are received before the first gets its name: if the form breaks off,
///   none is stored. A file whose name is taken meanwhile is a 409, which says how
///   many files before it are stored.
///
/// | status | |
/// |---|---|
/// | 400 | a name that no file can have, or that has control characters; two files of one name in a form; `Content-Range` |
/// | 403 | a name that begins with a dot, unless [`hidden`](crate::Files::hidden); no permission; a page of another site |
/// | 404 | `POST`: the folder does not exist |
/// | 405 | `PUT` to a folder, `POST` to a file |
/// | 409 | there is a file of this name, or, for a file of a form, a folder; the name is that of a device, FIFO or socket; `PUT`: the folder does not exist |
/// | 412 | the conditions of the request do not hold |
/// | 413 | larger than [`bytes_max`](Self::bytes_max), more than [`files_max`](Self::files_max) |
/// | 415 | `Content-Encoding`: the file would be served as if it were not encoded |
/// | 507 | the disk is full, or the quota of the user |
///
/// # What is on the disk
///
/// A file has its name only when it is complete, and has reached the disk (`fsync`)
/// before the response is sent. Of uploads to one name at the same time, one is
/// stored, never a mixture. On Linux a file has no name until then (`O_TMPFILE`): a
/// stop, a client that disconnects, a crash or a `kill -9` leaves nothing. Where the
/// file system has no such files (as NFS, FAT), and on other systems, the file is
/// `.farewell-….part` until then. After a crash such a file is left. On Unix the first
/// upload of a later process to that folder removes it, also one that is then refused; in
/// the served folder itself [`Files::uploads`](crate::Files::uploads) does. Later uploads
/// of that process do not look again (it remembers 1024 folders, and then begins anew), so
/// what another process leaves meanwhile stays until the next start. A file that replaces
/// another has such a name too, for a moment.
///
/// The permissions are those of the umask. A symbolic link is replaced itself, and not
/// what it leads to. Owner, permissions and hard links of a replaced file are not kept,
/// and neither are precompressed siblings made anew.
///
/// # Limits
///
/// A server whose handler is this `Files` takes bodies as large as these `Uploads` say. A
/// [`Router`](crate::Router) around it has limits of its own: give it those of
/// [`Files::body_limits`](crate::Files::body_limits). An upload that waits for its
/// client holds a worker; at most half of the workers wait like that.
///
/// # Who may upload
///
/// Each client that reaches the server. No web page of another site, though: a request
/// is a 403 if its `Sec-Fetch-Site` says so or, without that field, if its `Origin` is
/// not its `Host`, so a proxy has to forward `Host`. This does not stop a site whose
/// name resolves to the address of the server (DNS rebinding). An HTML file is served
/// as a page of this server, with its scripts: do not let strangers upload to a server
/// whose pages your users trust.
///
/// ```no_run
/// use farewell::{Config, Files, Server, Uploads};
///
/// // curl -T picture.jpg http://127.0.0.1:8080/
/// // curl -F file=@a.txt -F file=@b.txt http://127.0.0.1:8080/
/// let files = Files::new("inbox")?.uploads(Uploads::new());
/// Server::bind("127.0.0.1:8080", Config::default())?.serve(files)?;
/// # Ok::<(), farewell::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "uploads are possible only for a `Files` that has them"]
pub struct Uploads {
    pub(super) overwrites: bool,
    pub(super) bytes_max: u64,
    pub(super) files_max: usize,
}

impl Uploads {
    /// New files of at most 1 GiB, at most 64 in one form; none replaces another.
    pub const fn new() -> Self {
        Self {
            overwrites: false,
            bytes_max: 1 << 30,
            files_max: 64,
        }
    }

    /// Lets an upload replace a file of its name. Default: no, such an upload is a 409.
    pub const fn overwrite(mut self, overwrites: bool) -> Self {
        self.overwrites = overwrites;
        self
    }

    /// Sets the largest file, in bytes. A larger one is a 413, before any of it is read if
    /// the client states its length. Default: 1 GiB. A form may have as much for each of
    /// its [files](Self::files_max).
    pub const fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Sets the most files of one form. More are a 413. Default: 64. A form holds a file
    /// descriptor for each of its files until all have arrived.
    pub const fn files_max(mut self, files: usize) -> Self {
        self.files_max = files;
        self
    }
}

impl Default for Uploads {
    fn default() -> Self {
        Self::new()
    }
}
