//! What the definitions of the options promise.

use super::*;

#[test]
fn clap_accepts_the_definitions() {
    Options::command().debug_assert();
}

#[test]
fn every_option_has_an_environment_variable_of_its_name() {
    for argument in Options::command().get_arguments() {
        let id = argument.get_id().as_str();
        if matches!(id, "help" | "version") {
            continue;
        }
        let variable = format!("FAREWELL_{}", id.to_uppercase());
        assert_eq!(argument.get_env().unwrap(), variable.as_str());
    }
}

#[test]
fn the_help_shows_the_defaults_of_the_library() {
    let help = Options::command().render_long_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let config = Config::default();
    let seconds = Duration::from_secs;
    assert_eq!(config.body_bytes_max, bytes("2MiB").unwrap());
    assert!(help.contains("a 413 [default: 2MiB]"));
    assert_eq!(config.rate_min, bytes("2KiB").unwrap());
    assert!(help.contains("progress [default: 2KiB]"));
    assert_eq!(
        (config.drain_timeout, config.linger),
        (seconds(5), seconds(2))
    );
    assert!(help.contains("twice --linger later [default: 5s]"));
    assert!(help.contains("ends it earlier [default: 2s]"));
    assert_eq!(RESTART_TIMEOUT, seconds(30));
    assert!(help.contains("this one goes on [default: 30s]"));
    assert_eq!(config.linger_max, seconds(30));
    assert!(help.contains("is still sending [default: 30s]"));
    assert_eq!(
        (config.body_timeout, config.write_timeout),
        (seconds(30), seconds(30))
    );
    assert!(help.contains("gets a 408 [default: 30s]") && help.contains("is cut [default: 30s]"));
}
