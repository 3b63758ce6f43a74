//! The report as JSON.

use serde_json::Value;

use crate::lifecycle::report::Report;

impl Report {
    /// The report as one JSON object, in one line without a line end. Needs the
    /// feature `stop-routes`. It is the last line that a client of
    /// [`StopRoutes`](crate::StopRoutes) with `?wait` gets.
    ///
    /// Durations are in seconds. The keys of outcomes are their names, with `_` for
    /// blanks. Later versions may add keys.
    ///
    /// ```
    /// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
    /// server.shutdown_handle().shutdown();
    /// let report = server.serve(|_: farewell::Request| "hello\n")?;
    /// let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    /// assert_eq!(json["all_answered"], true);
    /// assert_eq!(json["trigger"]["by"], "call");
    /// assert_eq!(json["requests"]["ended"]["cut"], 0);
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        let value: Value = serde_json::to_value(self).expect("the keys are strings");
        value.to_string()
    }
}
