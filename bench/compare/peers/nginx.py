"""nginx's mail proxy: one worker. The responder it asks about each login is another nginx on the
other core, so that its CPU is not counted; the connection nginx opens to it for each login is."""

import os
import shutil

from .peer import Peer, first_line

MODULE = "/usr/lib/nginx/modules/ngx_mail_module.so"


class Nginx(Peer):
    name = "nginx"
    title = "nginx"
    colour = 2
    responder = None

    @classmethod
    def missing(cls):
        if not shutil.which("nginx") or not os.path.exists(MODULE):
            return "nginx and its mail module are not installed"
        return ""

    @classmethod
    def version(cls, lab):
        return first_line("nginx", "-v").removeprefix("nginx version: nginx/")

    def _write(self, name, modules, text):
        return self.write(f"{name}.conf", f"""{modules}
daemon off;
worker_processes 1;
worker_rlimit_nofile {min(16384, self.lab.descriptors_max)};
error_log {self.dir}/{name}-error.log error;
pid {self.dir}/{name}.pid;
events {{ worker_connections {min(16000, self.lab.descriptors_max - 64)}; }}
{text}""")

    def start(self):
        auth = self.network.port()
        self.tls, self.plain = self.network.port(), self.network.port()
        temporary = "\n".join(f"  {kind}_temp_path {self.dir}/temporary;" for kind in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        responder = self._write("responder", "", f"""
http {{
  access_log off;
{temporary}
  map $http_auth_user $store {{
    ~[02468]@  {self.stores.ports["even"]};
    default    {self.stores.ports["odd"]};
  }}
  server {{
    listen 127.0.0.1:{auth};
    location / {{
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $store;
      return 204;
    }}
  }}
}}
""")
        self.responder = self.lab.start(
            "nginx-responder", ["nginx", "-c", responder, "-p", self.dir], self.network,
            self.lab.other_core, [auth])
        no_tickets = "" if self.setup.get("tickets", True) else "ssl_conf_command NumTickets 0;"
        proxy = self._write("proxy", f"load_module {MODULE};", f"""
mail {{
  server_name localhost;
  auth_http 127.0.0.1:{auth}/auth;
  pop3_auth plain;
  proxy_buffer {self.setup.get("buffer", "16k")};
  proxy_pass_error_message on;
  proxy_timeout 1h;
  ssl_certificate {self.certificate};
  ssl_certificate_key {self.key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ecdh_curve X25519:P-256;
  ssl_session_cache shared:tls:20m;
  {no_tickets}
  server {{ listen 127.0.0.1:{self.tls} ssl backlog=4096; protocol pop3; }}
  server {{ listen 127.0.0.1:{self.plain} backlog=4096; protocol pop3; }}
}}
""")
        self.launch(["nginx", "-c", proxy, "-p", self.dir])

    def stop(self):
        super().stop()
        if self.responder:
            self.lab.stop(self.responder)
            self.responder = None
