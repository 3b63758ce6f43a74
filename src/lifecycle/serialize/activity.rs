//! `Serialize` for an [`Activity`].

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeStruct;

use crate::lifecycle::activity::Activity;
use crate::lifecycle::activity::RunningCall;
use crate::lifecycle::activity::RunningRequest;

/// The longest wait is `queued_seconds`.
impl Serialize for Activity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let queued_for = self.queued_for.map(|it| it.as_secs_f64());
        let mut fields = serializer.serialize_struct("Activity", 4)?;
        fields.serialize_field("workers", &self.workers)?;
        fields.serialize_field("calls", &self.calls)?;
        fields.serialize_field("queued", &self.queued)?;
        fields.serialize_field("queued_seconds", &queued_for)?;
        fields.end()
    }
}

/// The time is in `seconds`.
impl Serialize for RunningCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("RunningCall", 4)?;
        fields.serialize_field("worker", &self.worker)?;
        fields.serialize_field("code", &self.code.to_string())?;
        fields.serialize_field("request", &self.request)?;
        fields.serialize_field("seconds", &self.running_for.as_secs_f64())?;
        fields.end()
    }
}

/// The age is in `seconds`.
impl Serialize for RunningRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let method = self.method.as_ref().map(|method| method.as_str());
        let mut fields = serializer.serialize_struct("RunningRequest", 5)?;
        fields.serialize_field("method", &method)?;
        fields.serialize_field("target", &self.target)?;
        fields.serialize_field("route", &self.route)?;
        fields.serialize_field("peer", &self.peer.to_string())?;
        fields.serialize_field("seconds", &self.age.as_secs_f64())?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::lifecycle::report::UserCode;

    #[test]
    fn an_activity_has_its_calls_with_their_requests() {
        let peer: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let request = RunningRequest {
            method: Some(http::Method::GET),
            target: Some("/users/7".to_owned()),
            route: Some("/users/{id}".to_owned()),
            peer: peer.into(),
            age: Duration::from_secs(2),
        };
        let call = |worker, request| RunningCall {
            worker,
            code: UserCode::Handler,
            request,
            running_for: Duration::from_millis(1500),
        };
        let activity = Activity {
            workers: 4,
            calls: vec![call(1, Some(request)), call(3, None)],
            queued: 0,
            queued_for: None,
        };
        let request = json!({
            "method": "GET", "target": "/users/7", "route": "/users/{id}",
            "peer": "127.0.0.1:5", "seconds": 2.0,
        });
        let calls = json!([
            {"worker": 1, "code": "the handler", "request": request, "seconds": 1.5},
            {"worker": 3, "code": "the handler", "request": null, "seconds": 1.5},
        ]);
        assert_eq!(
            serde_json::to_value(activity).unwrap(),
            json!({"workers": 4, "calls": calls, "queued": 0, "queued_seconds": null})
        );
    }
}
