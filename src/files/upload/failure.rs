//! Why nothing is stored, and the status that says so.

use std::io;

use http::StatusCode;
use http::header;

use super::methods;
use crate::escaped::Escaped;
use crate::files::os;
use crate::files::path::BadPath;
use crate::files::root::OpenError;
use crate::message::rejection::Rejection;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// The refusal of an upload.
#[derive(Debug)]
pub(super) struct Failure(Rejection);

impl Failure {
    pub(super) fn new(status: StatusCode, why: &'static str) -> Self {
        Rejection::new(status, why).into()
    }

    /// There is a file of this name, and it is not to be replaced.
    pub(super) fn exists() -> Self {
        Self::new(StatusCode::CONFLICT, "there is a file of this name")
    }

    /// There is a folder of this name, for which the request is not.
    pub(super) fn folder_exists() -> Self {
        Self::new(StatusCode::CONFLICT, "there is a folder of this name")
    }

    /// Nothing can be created where no folder is (RFC 4918 section 9.7.1).
    pub(super) fn no_folder() -> Self {
        Self::new(StatusCode::CONFLICT, "the folder does not exist")
    }

    /// The name is that of a device, a FIFO or a socket.
    pub(super) fn no_file() -> Self {
        let why = "what has this name is not a file, and is not replaced";
        Self::new(StatusCode::CONFLICT, why)
    }

    pub(super) fn bad_name(why: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    pub(super) fn hidden_name() -> Self {
        let why = "names that begin with a dot are not stored";
        Self::new(StatusCode::FORBIDDEN, why)
    }

    pub(super) fn too_large() -> Self {
        let why = "the file is larger than the server takes";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    }

    /// A browser sends what any page has it send, also to a server on the user's machine.
    pub(super) fn other_site() -> Self {
        let why = "the request was sent by a page of another site";
        Self::new(StatusCode::FORBIDDEN, why)
    }

    /// The request is for a folder, and its method for files, or the other way round.
    pub(super) fn not_allowed(allowed: &'static str, why: &'static str) -> Self {
        let rejection = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, why);
        Self(rejection.with_header(header::ALLOW, allowed))
    }

    /// The request itself is for a folder.
    pub(super) fn is_folder() -> Self {
        let why = "method not allowed: this is a folder, and files are sent to their own paths";
        Self::not_allowed(methods::OF_FOLDERS, why)
    }

    /// The server would store the encoded content, and serve it as if it were not encoded
    /// (RFC 9110 sections 8.4 and 15.5.16).
    pub(super) fn encoded() -> Self {
        let why = "send the file without Content-Encoding";
        let rejection = Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
        Self(rejection.with_header(header::ACCEPT_ENCODING, "identity"))
    }

    /// Names the file of a form, and how many of its files are stored all the same.
    pub(super) fn of_file(self, name: &str, stored: usize) -> Self {
        let mut message = format!("{}: {}", self.0.message(), Escaped(name));
        if stored > 0 {
            message += &format!("; {stored} files before it are stored");
        }
        Self(self.0.with_message(message))
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self(rejection)
    }
}

impl From<BadPath> for Failure {
    fn from(bad: BadPath) -> Self {
        match bad {
            BadPath::Hidden => Self::hidden_name(),
            bad => bad.rejection().map_or_else(
                || Self::bad_name("the path has a name that no file can have"),
                Self::from,
            ),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Failed(error) => error.into(),
            OpenError::Forbidden => Self::from(io::Error::from(io::ErrorKind::PermissionDenied)),
            error => error.rejection().map_or_else(Self::no_folder, Self::from),
        }
    }
}

/// Of the calls that create, write and name a file.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let why = "there is no room left for the file";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, why)
            }
            io::ErrorKind::FileTooLarge => {
                let why = "the file is larger than the file system takes";
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, why)
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                let why = "storing files here is not permitted";
                Self::new(StatusCode::FORBIDDEN, why)
            }
            io::ErrorKind::AlreadyExists => Self::exists(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::no_folder(),
            // Another program has just made it.
            io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => Self::folder_exists(),
            _ if os::is_out_of_descriptors(&error) => {
                let why = "too many files are open: try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
            }
            _ if os::new_file::is_name_refused(&error) => {
                Self::bad_name("the file system has no such name, or none so long")
            }
            _ => Rejection::internal(error).into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_system_has_its_status_and_names_no_detail() {
        for (kind, status) in [
            (io::ErrorKind::StorageFull, 507),
            (io::ErrorKind::QuotaExceeded, 507),
            (io::ErrorKind::FileTooLarge, 413),
            (io::ErrorKind::PermissionDenied, 403),
            (io::ErrorKind::ReadOnlyFilesystem, 403),
            (io::ErrorKind::AlreadyExists, 409),
            (io::ErrorKind::NotFound, 409),
            (io::ErrorKind::NotADirectory, 409),
            (io::ErrorKind::IsADirectory, 409),
            (io::ErrorKind::Other, 500),
        ] {
            let response = Failure::from(io::Error::from(kind)).into_response();
            assert_eq!(response.status(), status, "{kind:?}");
        }
        let forbidden = Failure::from(OpenError::Forbidden).into_response();
        assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);
        let nothing = Failure::from(OpenError::NotFound).into_response();
        assert_eq!(nothing.status(), StatusCode::CONFLICT);
    }

    #[cfg(unix)]
    #[test]
    fn errors_of_names_and_descriptors_are_told_apart() {
        use rustix::io::Errno;

        for (errno, status) in [
            (Errno::NAMETOOLONG, 400),
            (Errno::ILSEQ, 400),
            (Errno::MFILE, 503),
            (Errno::NOSPC, 507),
            (Errno::DQUOT, 507),
            (Errno::ROFS, 403),
            (Errno::IO, 500),
        ] {
            let response = Failure::from(io::Error::from(errno)).into_response();
            assert_eq!(response.status(), status, "{errno:?}");
        }
    }
}
