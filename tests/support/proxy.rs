//! A TCP proxy on loopback that can be cut.

use std::sync::Arc;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// From a free port to `target`.
    pub(crate) fn to(target: u16) -> Proxy {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, state) = watch::channel(false);
        tokio::spawn(serve(listener, target, state));
        Proxy { port, cut: Arc::new(cut) }
    }

    /// Breaks what goes through it, and takes nothing more until it is mended.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

async fn serve(listener: std::net::TcpListener, target: u16, cut: watch::Receiver<bool>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((mut near, _)) = listener.accept().await {
        let mut cut = cut.clone();
        tokio::spawn(async move {
            if *cut.borrow() {
                return;
            }
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
            tokio::select! {
                biased;
                _ = cut.wait_for(|cut| *cut) => {}
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            }
        });
    }
}
