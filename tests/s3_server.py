"""A server of S3 on loopback, with a bucket `study`. It prints its port.

It answers one request at a time, because moto's conditional writes are atomic only then.
"""

import urllib.request
from threading import Thread

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Silent(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=Silent)
    serving = Thread(target=server.serve_forever)
    serving.start()
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/study", method="PUT")
    urllib.request.urlopen(request).close()
    print(server.port, flush=True)
    serving.join()
