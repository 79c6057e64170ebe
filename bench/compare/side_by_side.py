"""The programs of a comparison: each started on the core it belongs to, and ended again."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

NGINX_MODULE = "/usr/lib/nginx/modules/ngx_mail_module.so"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def process_tree(pid):
    """The process and all below it."""
    pids = [pid]
    for at in pids:
        for task in pathlib.Path(f"/proc/{at}/task").glob("*"):
            try:
                pids += [int(child) for child in (task / "children").read_text().split()]
            except FileNotFoundError:
                pass
    return pids


def cpu_ns(pid):
    """CPU time of the whole process tree, from the scheduler's own nanosecond clock."""
    total = 0
    for at in process_tree(pid):
        for task in pathlib.Path(f"/proc/{at}/task").glob("*"):
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except FileNotFoundError:
                pass
    return total


def memory_kb(pid):
    """Proportional and plain resident set of the whole process tree."""
    pss = rss = 0
    for at in process_tree(pid):
        text = pathlib.Path(f"/proc/{at}/smaps_rollup").read_text()
        pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))
    return {"pss": pss, "rss": rss}


class Bench:
    """A directory for files, and two cores: one for the proxy, one for everything else."""

    def __init__(self, bin_dir, cores):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postern-bench-"))
        self.dir.chmod(0o755)  # nginx's workers are another user
        self.bin = pathlib.Path(bin_dir)
        self.proxy_core, self.other_core = cores
        self.running = []
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", self.dir / "key.pem", "-out",
             self.dir / "certificate.pem"],
            check=True, capture_output=True)

    def close(self):
        for process in list(self.running):
            self.stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, name, command, core, ready):
        """Starts a server and waits until `ready(its output)`."""
        log = self.dir / f"{name}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.running.append(process)
        for _ in range(200):
            if process.poll() is not None:
                break
            if ready(log.read_text()):
                return process
            time.sleep(0.05)
        sys.exit(f"{name} did not start:\n{log.read_text()}")

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.running:
            self.running.remove(process)

    def start_store(self):
        """The store behind every proxy; its port."""
        port = free_port()
        self.start("store",
                   [str(self.bin / "postern-maildrop"), "--listen", f"127.0.0.1:{port}",
                    "--messages", "1", "--size", "1000"],
                   self.other_core, lambda text: "is ready on" in text)
        return port

    def load(self, *arguments):
        """One run of the load generator; its JSON."""
        command = [str(self.bin / "postern-load"), "--json", "-", "--quiet", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {self.other_core}))
        if not done.stdout.strip():
            sys.exit(f"postern-load failed: {done.stderr}")
        return json.loads(done.stdout)

    def start_idle_load(self, *arguments):
        """Starts a run of idle sessions and returns when all of them are silent."""
        command = [str(self.bin / "postern-load"), "--quiet", "--script", "idle",
                   *map(str, arguments)]
        load = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.other_core}))
        self.running.append(load)
        line = load.stderr.readline()
        if "sessions are idle" not in line:
            sys.exit(f"the idle sessions were not reached: {line}")
        return load

    def stop_idle_load(self, load):
        # The first signal starts no more sessions, the second ends those under way.
        load.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.stop(load)


class Postern:
    """One worker, user-hash, one backend without TLS."""

    def __init__(self, bench, store_port, name, session_log=False):
        self.bench, self.store_port, self.name = bench, store_port, name
        self.session_log = session_log

    def start(self):
        bench, files = self.bench, f"postern-{id(self)}"
        self.tls, self.plain, self.admin = free_port(), free_port(), free_port()
        config = bench.dir / f"{files}.toml"
        log = bench.dir / f"{files}-sessions.log" if self.session_log else ""
        config.write_text(f"""
hostname = "localhost"
workers = 1
[[listener]]
address = "127.0.0.1:{self.tls}"
tls = "implicit"
[[listener]]
address = "127.0.0.1:{self.plain}"
tls = "off"
plaintext_logins = true
[tls]
certificates = [{{ chain = "{bench.dir}/certificate.pem", key = "{bench.dir}/key.pem" }}]
[[pool]]
name = "mail"
balance = "user-hash"
backends = [ {{ name = "store1", address = "127.0.0.1:{self.store_port}" }} ]
[[route]]
users = "*"
pool = "mail"
[log]
sessions = "{log}"
[admin]
address = "127.0.0.1:{self.admin}"
""")
        self.process = bench.start(
            files, [str(bench.bin / "postern"), "serve", "--config", str(config)],
            bench.proxy_core, lambda text: "is ready" in text)
        return self.process.pid

    def stop(self):
        self.bench.stop(self.process)

    def metric(self, name):
        """The sum over all labels."""
        url = f"http://127.0.0.1:{self.admin}/metrics"
        text = urllib.request.urlopen(url).read().decode()
        return int(sum(float(line.split()[-1]) for line in text.splitlines()
                       if re.match(name + r"[ {]", line)))


class Nginx:
    """One worker for the proxy. The responder it asks about each login is another nginx, so that
    its CPU is not counted."""

    def __init__(self, bench, store_port, name, tickets=True):
        self.bench, self.store_port, self.name, self.tickets = bench, store_port, name, tickets

    @staticmethod
    def installed():
        return shutil.which("nginx") is not None and os.path.exists(NGINX_MODULE)

    def run(self, name, modules, text, core, port):
        directory = self.bench.dir / name
        directory.mkdir(exist_ok=True)
        config = directory / "nginx.conf"
        config.write_text(f"""{modules}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
error_log {directory}/error.log error;
pid {directory}/pid;
events {{ worker_connections 16000; }}
{text}""")
        return self.bench.start(name, ["nginx", "-c", str(config), "-p", str(directory)], core,
                                lambda _: accepts(port))

    def start(self):
        bench, files = self.bench, f"nginx-{id(self)}"
        auth = free_port()
        self.tls, self.plain = free_port(), free_port()
        temporary = "\n".join(f"  {kind}_temp_path {bench.dir}/{files}-auth;" for kind in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.responder = self.run(f"{files}-auth", "", f"""
http {{
  access_log off;
{temporary}
  server {{
    listen 127.0.0.1:{auth};
    location / {{
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port {self.store_port};
      return 204;
    }}
  }}
}}
""", bench.other_core, auth)
        no_tickets = "" if self.tickets else "ssl_conf_command NumTickets 0;"
        self.process = self.run(files, f"load_module {NGINX_MODULE};", f"""
mail {{
  server_name localhost;
  auth_http 127.0.0.1:{auth}/auth;
  pop3_auth plain;
  ssl_certificate {bench.dir}/certificate.pem;
  ssl_certificate_key {bench.dir}/key.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ecdh_curve X25519:P-256;
  {no_tickets}
  server {{ listen 127.0.0.1:{self.tls} ssl; protocol pop3; }}
  server {{ listen 127.0.0.1:{self.plain}; protocol pop3; }}
}}
""", bench.proxy_core, self.tls)
        return self.process.pid

    def stop(self):
        self.bench.stop(self.process)
        self.bench.stop(self.responder)
