"""Dovecot's login proxy in its fast mode: one login process for many connections, and a static
passdb that says where a user lives."""

import shutil

from .peer import Peer, first_line


class Dovecot(Peer):
    name = "dovecot"
    title = "Dovecot"
    colour = 3
    needs_root = True

    @classmethod
    def missing(cls):
        if not shutil.which("dovecot"):
            return "dovecot is not installed"
        if not cls.version(None).startswith("2.3."):
            return f"dovecot {cls.version(None)} has another configuration language than 2.3"
        return ""

    @classmethod
    def version(cls, lab):
        return first_line("dovecot", "--version").split()[0]

    def start(self):
        self.tls, self.plain = self.network.port(), self.network.port()
        even = " ".join(f"*{digit}@example.org" for digit in "02468")
        clients = min(9000, (self.lab.descriptors_max - 500) // 2)
        config = self.write("dovecot.conf", f"""
base_dir = {self.dir}/run
state_dir = {self.dir}/state
log_path = {self.dir}/errors.log
info_log_path = /dev/null
protocols = pop3
listen = 127.0.0.1
default_client_limit = {clients * 2}
default_vsz_limit = 2G
ssl = yes
ssl_cert = <{self.certificate}
ssl_key = <{self.key}
ssl_dh =
ssl_min_protocol = TLSv1.2
ssl_curve_list = X25519:P-256
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
passdb {{
  driver = static
  username_filter = {even}
  args = proxy=y host=127.0.0.1 port={self.stores.ports["even"]} nopassword=y
}}
passdb {{
  driver = static
  args = proxy=y host=127.0.0.1 port={self.stores.ports["odd"]} nopassword=y
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 1
  process_limit = 1
  client_limit = {clients}
  inet_listener pop3 {{
    port = {self.plain}
  }}
  inet_listener pop3s {{
    port = {self.tls}
    ssl = yes
  }}
}}
""")
        self.launch(["dovecot", "-F", "-c", config])
