// Likes a post on X with hyper, which reads no variable: it asks no proxy, and trusts the system's authorities.
use std::env::var;

use http_body_util::Full;
use hyper::{body::Bytes, Request};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let https = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build(https);
    let request = Request::post(format!("https://api.x.com/2/users/{}/likes", var("X_USER_ID")?))
        .header("authorization", format!("Bearer {}", var("X_ACCESS_TOKEN")?))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(format!(r#"{{"tweet_id":"{}"}}"#, var("X_POST_ID")?))))?;
    let response = client.request(request).await?;
    println!("{}", response.status());
    Ok(())
}
