"""nginx's mail proxy: one worker. The responder it asks about each login is another nginx on the
other core, so that its CPU is not counted; the connection nginx opens to it for each login is."""

import os
import shutil

from .peer import Peer, first_line
from .responder import Responder, write_config

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

    def start(self):
        self.tls, self.plain = self.network.port(), self.network.port()
        self.responder = Responder(self)
        no_tickets = "" if self.setup.get("tickets", True) else "ssl_conf_command NumTickets 0;"
        proxy = write_config(self, "proxy", f"load_module {MODULE};", f"""
mail {{
  server_name localhost;
  auth_http {self.responder.address}/auth;
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
            self.responder.stop()
            self.responder = None
