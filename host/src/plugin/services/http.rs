//! `http` and `files`: the way out, and what is too big to carry through a guest.

use std::time::Duration;

use crate::chat::FileRef;
use crate::egress::{Downloaded, Response};
use crate::plugin::files::plain_name;
use crate::plugin::sandbox::{Service, State};
use crate::plugin::v1::http::{self as wit, Body, Content};
use crate::plugin::v1::types::{Error, FileRef as WitFile};
use crate::plugin::v1::{files, from_guest, to_guest};

/// Buckets that are remembered of one call.
const BUCKETS_MAX: usize = 16;
/// Longest pause that a guest may declare.
const HOLD_MAX: Duration = Duration::from_secs(3600);

fn response(r: Response) -> wit::Response {
    wit::Response {
        status: r.status,
        headers: r.headers,
        body: r.body,
    }
}

/// How much of a request came out of the guest.
fn weight(request: &wit::Request) -> usize {
    let headers: usize = request.headers.iter().map(|(n, v)| n.len() + v.len()).sum();
    let body = match &request.body {
        Body::Empty | Body::File(_) => 0,
        Body::Bytes(bytes) => bytes.len(),
        Body::Multipart(parts) => parts
            .iter()
            .map(|part| match &part.content {
                Content::Bytes(bytes) => bytes.len(),
                Content::File(_) => 0,
            })
            .sum(),
    };
    request.url.len() + headers + body
}

impl State {
    /// What every request goes through before it is sent.
    fn outgoing(
        &mut self,
        request: wit::Request,
    ) -> wasmtime::Result<Result<(std::sync::Arc<crate::plugin::adapter::Bound>, crate::egress::Request), Error>> {
        self.spend(weight(&request))?;
        let bound = match self.granted(Service::Http) {
            Ok(bound) => bound,
            Err(error) => return Ok(Err(error)),
        };
        for bucket in &request.buckets {
            if let Some(calls) = self.buckets.get_mut(bucket) {
                *calls += 1;
            } else if self.buckets.len() < BUCKETS_MAX {
                self.buckets.insert(bucket.clone(), 1);
            }
        }
        let request = from_guest::request(request, |id| bound.files.path(id));
        Ok(request.map(|request| (bound, request)).map_err(to_guest::error))
    }
}

impl wit::Host for State {
    async fn send(&mut self, request: wit::Request) -> wasmtime::Result<Result<wit::Response, Error>> {
        let (bound, request) = match self.outgoing(request)? {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(error)),
        };
        let answer = self.waiting(async { bound.outlet.send(request).await }).await;
        Ok(answer.map(response).map_err(to_guest::error))
    }

    async fn download(
        &mut self,
        request: wit::Request,
        name: String,
    ) -> wasmtime::Result<Result<wit::Downloaded, Error>> {
        let (bound, mut request) = match self.outgoing(request)? {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(error)),
        };
        let most = bound.limits.file_bytes;
        request.max_bytes = Some(request.max_bytes.map_or(most, |asked| asked.min(most)));
        let brought = self
            .waiting(async {
                let (id, path) = bound.files.place().await?;
                let kept = bound.outlet.download(request, path.clone()).await;
                if !matches!(kept, Ok(Ok(_))) {
                    // Nothing refers to what came in part; it may not even be there.
                    let _ = tokio::fs::remove_file(&path).await;
                }
                Ok(match kept? {
                    Ok(size_bytes) => {
                        let name = plain_name(&name);
                        Downloaded::File(FileRef {
                            id,
                            media_type: crate::chat::media_type(&name).to_owned(),
                            name,
                            size_bytes,
                        })
                    }
                    Err(refused) => Downloaded::Refused(refused),
                })
            })
            .await;
        Ok(match brought {
            Ok(Downloaded::File(file)) => Ok(wit::Downloaded::File(to_guest::file(&file))),
            Ok(Downloaded::Refused(refused)) => Ok(wit::Downloaded::Refused(response(refused))),
            Err(error) => Err(to_guest::error(error)),
        })
    }

    async fn hold(&mut self, bucket: String, for_ms: u32) -> wasmtime::Result<()> {
        if let Ok(bound) = self.granted(Service::Http) {
            bound
                .outlet
                .hold(&bucket, Duration::from_millis(for_ms.into()).min(HOLD_MAX));
        }
        Ok(())
    }
}

impl files::Host for State {
    async fn read(&mut self, id: String, offset: u32, length: u32) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let bound = match self.granted(Service::Files) {
            Ok(bound) => bound,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = self
            .waiting(async { bound.files.read(&id, offset, length).await })
            .await;
        Ok(bytes.map_err(to_guest::error))
    }

    async fn keep(
        &mut self,
        name: String,
        media_type: String,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<WitFile, Error>> {
        self.spend(bytes.len())?;
        let bound = match self.granted(Service::Files) {
            Ok(bound) => bound,
            Err(error) => return Ok(Err(error)),
        };
        let kept = self
            .waiting(async { bound.files.keep(&name, &media_type, &bytes).await })
            .await;
        Ok(kept.map(|file| to_guest::file(&file)).map_err(to_guest::error))
    }
}
