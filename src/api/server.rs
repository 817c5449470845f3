//! Connections: bounded in number, with time-outs, in TLS where it is configured.

use super::auth::Certified;
use crate::config::{Auth, Tls};
use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Connections at the same time; the next one waits in the kernel's queue.
const CONNECTIONS: usize = 1024;
/// Whoever does not finish its header or handshake in this time is let go.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}; is another daemon running there? Give --listen ADDRESS")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the certificate or key in {path}: {why}")]
    Pem { path: PathBuf, why: String },
}

pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    names: Arc<Vec<String>>,
}

impl Server {
    /// Takes the port. Nothing is served yet.
    ///
    /// # Errors
    /// Where the port is taken or the TLS files cannot be used.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<&Tls>,
        auth: &Auth,
    ) -> Result<Server, ServerError> {
        let tls = tls.map(acceptor).transpose()?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServerError::Listen { address, source })?;
        Ok(Server { listener, tls, names: Arc::new(auth.client_names.clone()) })
    }

    /// Where it listens: of use where port 0 was asked for.
    ///
    /// # Errors
    /// Where the socket is gone.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` says so, and then lets what is being answered finish.
    pub async fn run(self, router: Router, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file handles, most likely: the next one may find some.
                    tracing::warn!(%error, "a connection could not be taken");
                    breathe().await;
                    continue;
                }
            };
            let (router, tls, names) = (router.clone(), self.tls.clone(), Arc::clone(&self.names));
            let stop = stop.clone();
            tokio::spawn(async move {
                converse(stream, router, tls, &names, stop).await;
                drop(place);
            });
        }
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        if tokio::time::timeout(PATIENCE, places.acquire_many(all)).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "no decision waits on it: handles are given back meanwhile"
)]
async fn breathe() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Resolves once it is time to stop, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

async fn converse(
    stream: TcpStream,
    router: Router,
    tls: Option<TlsAcceptor>,
    names: &[String],
    stop: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no nodelay");
    }
    let Some(tls) = tls else { return serve(stream, router, Certified(false), stop).await };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|all| all.first());
            let certified =
                Certified(shown.is_some_and(|certificate| accepted(certificate, names)));
            serve(stream, router, certified, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
        Err(_) => tracing::debug!("the TLS handshake took too long"),
    }
}

/// Whether the certificate, which the authority signed, carries one of the accepted names.
fn accepted(certificate: &CertificateDer<'_>, names: &[String]) -> bool {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return false };
    names
        .iter()
        .filter_map(|name| ServerName::try_from(name.as_str()).ok())
        .any(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    certified: Certified,
    mut stop: watch::Receiver<bool>,
) {
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(certified);
        request.map(axum::body::Body::new)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = &mut connection => if let Err(error) = ended { tracing::debug!(%error, "a connection broke off") },
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            if let Err(error) = connection.await { tracing::debug!(%error, "a connection broke off") }
        }
    }
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServerError> {
    let bad = |path: &Path, why: String| ServerError::Pem { path: path.into(), why };
    let chain = certificates(&tls.certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| bad(&tls.key, error.to_string()))?;
    let builder = match &tls.client_ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| bad(path, error.to_string()))?;
            }
            // Without a certificate a caller may still show a token.
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                .allow_unauthenticated()
                .build()
                .map_err(|error| bad(path, error.to_string()))?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
        None => ServerConfig::builder().with_no_client_auth(),
    };
    let config = builder
        .with_single_cert(chain, key)
        .map_err(|error| bad(&tls.certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let bad = |why: String| ServerError::Pem { path: path.into(), why };
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| bad(error.to_string()))?;
    if all.is_empty() { Err(bad("there is no certificate in it".into())) } else { Ok(all) }
}
