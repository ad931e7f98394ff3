use super::*;

fn secured() -> Bench {
    Bench::with(Sink::default(), |settings| settings.token = Some("sesame".into()))
}

#[tokio::test]
async fn without_the_token_only_probes_and_metrics_answer() {
    let bench = secured();
    bench.telemetry.report("bus", Health::Ready);
    for path in ["/v1/models", "/v1/alerts", "/nowhere"] {
        let answer = bench.get(path).await;
        answer.is_problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"plimsoll\"", "{path}");
    }
    bench.post("/v1/sql", "SELECT 1").await.is_problem(401, "unauthorized");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(bench.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn the_token_opens_and_another_does_not() {
    let bench = secured();
    let with = |authorization: &str| {
        Request::get("/v1/models").header("authorization", authorization).body(Body::empty()).unwrap()
    };
    assert_eq!(bench.send(with("Bearer sesame")).await.status, 200);
    assert_eq!(bench.send(with("bearer sesame")).await.status, 200);
    for wrong in ["Bearer sesam", "Bearer sesame2", "Basic sesame", "sesame", "Bearer "] {
        bench.send(with(wrong)).await.is_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_browser_is_asked_for_the_token_as_a_password() {
    let bench = secured();
    let asked = bench.get("/").await;
    asked.is_problem(401, "unauthorized");
    assert!(asked.header("www-authenticate").starts_with("Basic realm=\"plimsoll\""));
    // `anna:sesame` and `anna:sesam`; the browser sends it to the pages that the first page links, too.
    let with = |path: &str, pair: &str| {
        Request::get(path).header("authorization", format!("Basic {pair}")).body(Body::empty()).unwrap()
    };
    for path in ["/", "/v1/models"] {
        assert_eq!(bench.send(with(path, "YW5uYTpzZXNhbWU=")).await.status, 200, "{path}");
        bench.send(with(path, "YW5uYTpzZXNhbQ==")).await.is_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_remembered_password_does_not_help_a_page_of_another_site() {
    let request = Request::post("/v1/sql").header("host", "plimsoll.example").header("origin", "https://evil.example");
    let request = request.header("authorization", "Basic YW5uYTpzZXNhbWU=").body(Body::from("SELECT 1")).unwrap();
    secured().send(request).await.is_problem(403, "cross_origin");
}

#[tokio::test]
async fn a_web_page_of_another_site_cannot_post() {
    let bench = Bench::new();
    let from = |origin: &str| {
        let request = Request::post("/v1/sql").header("host", "localhost:8080").header("origin", origin);
        request.body(Body::from("SELECT 1")).unwrap()
    };
    for origin in ["https://evil.example", "null", "http://localhost:3000"] {
        bench.send(from(origin)).await.is_problem(403, "cross_origin");
    }
    let own = bench.send(from("http://localhost:8080")).await;
    assert_eq!(own.status, 200);
    assert_eq!(own.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn on_the_loopback_address_a_foreign_host_name_needs_the_token() {
    let asks = |bearer: &str| {
        let request = Request::get("/v1/models").header("host", "rebound.example:8080").header("authorization", bearer);
        request.body(Body::empty()).unwrap()
    };
    Bench::new().send(asks("")).await.is_problem(403, "foreign_host");
    assert_eq!(secured().send(asks("Bearer sesame")).await.status, 200);
    let public = Bench::with(Sink::default(), |settings| settings.listen = "0.0.0.0:8080".parse().unwrap());
    assert_eq!(public.send(asks("")).await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems() {
    let bench = Bench::new();
    bench.get("/v9/models").await.is_problem(404, "not_found");
    let answer = bench.get("/v1/predictions").await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    bench.post("/v1/models", "{}").await.is_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn alive_is_always_and_ready_is_when_every_part_is() {
    let bench = Bench::new();
    assert_eq!(bench.get("/livez").await.text, "ok");
    bench.get("/readyz").await.is_problem(503, "not_ready");
    bench.telemetry.report("ingest", Health::Ready);
    bench.telemetry.report("bus", Health::Blocked("kafka at x:9092 cannot be reached".into()));
    let problem = bench.get("/readyz").await.is_problem(503, "not_ready");
    assert_eq!(problem["ready"], false);
    assert_eq!(problem["parts"]["bus"], "kafka at x:9092 cannot be reached");
    assert_eq!(problem["parts"]["ingest"], "ready");
    bench.telemetry.report("bus", Health::Ready);
    let answer = bench.get("/readyz").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), serde_json::json!({"ready": true, "parts": {"bus": "ready", "ingest": "ready"}}));
}

#[tokio::test]
async fn an_address_in_use_is_named_with_the_way_out() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let error = bind(&HttpSettings { listen, max_body: 1, threads: 1, token: None }).await.unwrap_err().to_string();
    assert!(error.contains(&listen.to_string()) && error.contains("http.listen"), "{error}");
}

#[tokio::test]
async fn the_server_answers_until_it_is_told_to_stop() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let folder = tempfile::tempdir().unwrap();
    let parts = ApiParts {
        settings: HttpSettings { listen: "127.0.0.1:0".parse().unwrap(), max_body: 1_024, threads: 1, token: None },
        models: crate::runner::FixedModels::shared(Vec::new()),
        topics: samples::topics(),
        view: ViewHandle::default(),
        registry: RegistryHandle::default(),
        artifacts: artifacts(folder.path(), 1_000),
        serving: ServingPart::Off("it is not served here".into()),
        outbound: samples::outbound(),
        gates: samples::gates(),
        references: crate::runner::References::default(),
        incoming_secret: None,
        seen: Arc::default(),
        sink: Arc::new(Sink::default()),
        sql: Arc::new(Echo),
        telemetry: Telemetry::default(),
        clock: Arc::new(ManualClock::default()),
        started_at: Timestamp::default(),
    };
    let listener = bind(&parts.settings).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let server = tokio::spawn(serve(listener, ApiState::new(parts).unwrap(), shutdown.clone()));
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok"), "{answer}");
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
