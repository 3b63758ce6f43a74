//! The life of the server in this program, from its listening sockets to its report.

use std::sync::Arc;

use farewell::Report;
use farewell::Server;

use super::admin;
use super::admin::Admin;
use super::admin::Operators;
use super::args::Options;
use super::bind;
use super::browser;
use super::failure::Failure;
use super::files::Folder;
use super::files::Urls;
use super::greeting;
use super::inherited::Inherited;
use super::inherited::Listening;
use super::inherited::Role;
use super::live;
use super::os;
use super::os::StandardStream;
use super::output::STDOUT;
use super::qr;
use super::restart::Restarts;
use super::routes;
use super::stop_access;
use super::supervisor::Supervisor;

/// The servers with their sockets, before they serve.
struct Servers {
    main: Server,
    /// With `--admin`.
    admin: Option<Server>,
}

/// Serves until the program is asked to stop. `sighup_reopens`: SIGHUP reopens the file of
/// the access log, and does not stop the program.
pub(super) fn serve(
    options: &Options,
    sighup_reopens: bool,
    mut inherited: Inherited,
) -> Result<Report, Failure> {
    // First: before this line, SIGUSR2 ends the process.
    let restarts = Restarts::accept_requests()?;
    let token = stop_access::by_token(options)?;
    let folder = Folder::open(options)?;
    let Servers { main, admin } = Servers::bind(options, &mut inherited)?;
    let admin_address = admin.as_ref().map(Server::local_addr);
    let listening = listening(&main, admin.as_ref());
    let stop = main.shutdown_handle();
    let supervisor = Arc::new(Supervisor::of_environment(&stop, main.config()));
    let signals = match sighup_reopens {
        true => main.stop_on_interrupt_and_terminate(),
        false => main.stop_on_signals(),
    };
    let signals = signals.map_err(|error| Failure::from_library(&error, options))?;

    STDOUT.print(greeting::greeting(
        &main,
        options,
        folder.as_ref(),
        admin_address.as_ref(),
        token.is_some(),
    ));
    // A browser is opened by the first process, not by each restart.
    if let Some(urls) = Urls::of(&main.local_addr())
        && inherited.predecessor.is_none()
    {
        show(&urls, options);
    }
    let progress = live::show_progress(stop.clone(), signals);
    let operators = Operators::new(&main, admin_address.as_ref(), token, options);
    let admin = admin
        .map(|server| Admin::start(server, &operators))
        .transpose()?;
    let on_main = admin.is_none().then_some(&operators);
    let predecessor = inherited.predecessor.take();
    let of_admin = admin.as_ref().map(Admin::shutdown_handle);
    restarts.begin(stop, of_admin, listening, predecessor, &supervisor, options)?;

    let others = match folder {
        Some(folder) => folder.router(),
        None => routes::demonstration(options),
    };
    let routes = routes::router(on_main, others).build();
    let report = routes.and_then(|routes| main.serve(routes));

    // Last of the servers: clients that follow the stop get the report from it.
    if let Some(admin) = admin {
        admin.stop();
    }
    restarts.end();
    let report = report.map_err(|error| Failure::from_library(&error, options))?;
    progress.join();
    supervisor.end();
    Ok(report)
}

impl Servers {
    fn bind(options: &Options, inherited: &mut Inherited) -> Result<Self, Failure> {
        let socket = inherited.socket(Role::Main);
        let main = bind::bind("listen", &options.listen, socket, options.config(), options)?;
        // Without `--admin` the socket stays, and is closed with a warning.
        let socket = match options.admin {
            Some(_) => inherited.socket(Role::Admin),
            None => None,
        };
        let admin = admin::bind(options, &main.local_addr(), socket)?;
        inherited.close_unused();
        Ok(Self { main, admin })
    }
}

/// The sockets that a restart passes on.
fn listening(main: &Server, admin: Option<&Server>) -> Vec<Listening> {
    let servers = [(Role::Main, Some(main)), (Role::Admin, admin)].into_iter();
    let listening = servers.filter_map(|(role, server)| {
        let listener = server?.listener_handle();
        Some(Listening { role, listener })
    });
    listening.collect()
}

/// Does what `--qr` and `--open` ask for.
fn show(urls: &Urls, options: &Options) {
    if options.files.qr {
        if urls.elsewhere.is_none() {
            let (qr, listen) = (options.name("qr"), options.name("listen"));
            log::warn!(
                "{qr} shows a URL of this machine alone: with {listen} :8081, a phone can connect"
            );
        }
        let in_colours = os::is_ansi_terminal(StandardStream::Stdout);
        STDOUT.print(qr::code(urls.best(), in_colours).unwrap_or_default());
    }
    if options.files.open {
        browser::open(&urls.here);
    }
}
