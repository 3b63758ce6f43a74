//! The token of `/shutdown`, from a file or from the environment.

use std::env;
use std::fs;

use farewell::StopAccess;

use super::args::Options;
use super::failure::Failure;

/// Environment variable that can hold the token instead of a file.
pub(super) const TOKEN_VARIABLE: &str = "FAREWELL_SHUTDOWN_TOKEN";

pub(super) fn is_token_in_environment() -> bool {
    env::var_os(TOKEN_VARIABLE).is_some()
}

/// The access by the token. `None` if no token is configured.
pub(super) fn by_token(options: &Options) -> Result<Option<StopAccess>, Failure> {
    let file_option = || options.name("shutdown_token_file");
    let (token, place) = match (&options.shutdown_token_file, env::var_os(TOKEN_VARIABLE)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Failure::usage(format!(
                "the token is given twice, in {TOKEN_VARIABLE} and by {}: remove one",
                file_option()
            )));
        }
        (None, Some(token)) => (
            token
                .into_string()
                .map_err(|_| Failure::usage(format!("{TOKEN_VARIABLE} is not UTF-8")))?,
            TOKEN_VARIABLE.to_owned(),
        ),
        (Some(file), None) => {
            let place = format!("{} ({})", file.display(), file_option());
            let token = fs::read_to_string(file).map_err(|error| {
                Failure::error(format!("cannot read the token in {place}: {error}"))
            })?;
            (token, place)
        }
    };
    let access = StopAccess::token(&token).map_err(|error| {
        // The library does not know where the token comes from.
        let error = error.to_string();
        let problem = error.strip_prefix("the token ").unwrap_or(&error);
        Failure::usage(format!("the token in {place} {problem}"))
    })?;
    Ok(Some(access))
}
