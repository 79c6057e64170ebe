"""The HTTP service that is asked where a user lives, in the protocol of nginx's mail proxy: an nginx
on the other core, so that its CPU is nobody's."""

import shutil

from lab import LabError


def write_config(peer, name, modules, text):
    """A configuration of nginx with one worker, in the peer's directory."""
    return peer.write(f"{name}.conf", f"""{modules}
daemon off;
worker_processes 1;
worker_rlimit_nofile {min(16384, peer.lab.descriptors_max)};
error_log {peer.dir}/{name}-error.log error;
pid {peer.dir}/{name}.pid;
events {{ worker_connections {min(16000, peer.lab.descriptors_max - 64)}; }}
{text}""")


class Responder:
    """Runs for one peer from now until `stop`; `address` is where."""

    def __init__(self, peer):
        if not shutil.which("nginx"):
            raise LabError("nginx is not installed, which is the auth_http service here")
        port = peer.network.port()
        self.address = f"127.0.0.1:{port}"
        self.lab = peer.lab
        temporary = "\n".join(f"  {kind}_temp_path {peer.dir}/temporary;" for kind in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = write_config(peer, "responder", "", f"""
http {{
  access_log off;
  keepalive_requests 1000000;
{temporary}
  map $http_auth_user $store {{
    ~[02468]@  {peer.stores.ports["even"]};
    default    {peer.stores.ports["odd"]};
  }}
  server {{
    listen {self.address};
    location / {{
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $store;
      return 204;
    }}
  }}
}}
""")
        self.process = self.lab.start("nginx-responder", ["nginx", "-c", config, "-p", peer.dir],
                                      peer.network, self.lab.other_core, [port])

    def stop(self):
        self.lab.stop(self.process)
