"""A site's inputs of a build: what pip here is told, proxies, mirror, certificates, wheels in folders."""

import pytest

from devstral_fleet.image_site import BuildSite, linked, problems, settings, site, wanted, wheels

LISTED = """\
:env:.find-links='/srv/wheels https://wheels.example/'
global.find-links='/other'
global.index-url='https://index.example/wheels'
install.extra-index-url='file:///srv/index\\nhttps://more.example/wheels'
global.cert='/etc/site.pem'
global.constraint='/etc/constraints.txt'
global.trusted-host='index.example'
not a line
"""


def test_settings_are_read_as_pip_ranks_them() -> None:
    read = settings(LISTED)
    assert read["find-links"] == "/srv/wheels https://wheels.example/"
    assert read["index-url"] == "https://index.example/wheels"
    assert read["extra-index-url"] == "file:///srv/index\nhttps://more.example/wheels"


def test_what_the_build_takes_over() -> None:
    given = site(settings(LISTED), {})
    assert given.places == ("/srv/wheels", "/srv/index")
    assert given.bundle == "/etc/site.pem"
    assert given.pip_configuration(has_wheels=True, has_bundle=True).splitlines() == [
        "[global]",
        "cert = /build/site/ca.pem",
        "extra-index-url = https://more.example/wheels",
        "find-links = /build/site/wheels",
        "    https://wheels.example/",
        "index-url = https://index.example/wheels",
        "trusted-host = index.example",
    ]


def test_no_settings_are_an_empty_configuration() -> None:
    assert site({}, {}).pip_configuration(has_wheels=False, has_bundle=False) == "[global]\n"


@pytest.mark.parametrize(("extra", "said"), [
    ("", {"no-index": "true"}),
    ("https://a.example https://b.example", {"index-url": "https://a.example", "extra-index-url": "https://b.example"}),
])  # fmt: skip
def test_an_index_of_files_does_not_become_the_public_one(extra: str, said: dict[str, str]) -> None:
    assert site({"index-url": "file:///srv/index", "extra-index-url": extra}, {}).pip == said


def test_the_inventory_is_before_the_environment() -> None:
    environment = {"FLEET_APT_MIRROR": "http://mirror.example", "SSL_CERT_FILE": "/env.pem", "https_proxy": "p:1"}
    assert site({}, environment) == BuildSite(
        apt_mirror="http://mirror.example", bundle="/env.pem", proxies=("https_proxy",)
    )
    own = site({"cert": "/pip.pem"}, environment, apt_mirror="http://own.example", bundle="/own.pem")
    assert (own.apt_mirror, own.bundle) == ("http://own.example", "/own.pem")
    assert site({"cert": "/pip.pem"}, environment).bundle == "/pip.pem"


def test_a_password_that_would_be_seen_is_refused() -> None:
    mirror = BuildSite(apt_mirror="http://me:secret@mirror.example/")
    proxy, environment = BuildSite(proxies=("HTTPS_PROXY",)), {"HTTPS_PROXY": "http://me:secret@proxy:3128"}
    assert "stand in the image's history" in problems(mirror, {}, elsewhere=False)[0]
    assert problems(proxy, environment, elsewhere=False) == []
    assert "HTTPS_PROXY holds a password" in problems(proxy, environment, elsewhere=True)[0]


def test_wheels_of_the_wanted_packages_are_found_by_their_names() -> None:
    packages = wanted("typing_extensions==4.16.0 \\\n    --hash=sha256:0\nJinja2==3.1.6\n", "torch==2.13.0+cpu")
    assert packages == {("typing-extensions", "4.16.0"), ("jinja2", "3.1.6"), ("torch", "2.13.0+cpu")}
    names = [
        "typing_extensions-4.16.0-py3-none-any.whl",
        "jinja2-3.1.5-py3-none-any.whl",
        "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
        "torch-2.13.0-cp311-cp311-linux_x86_64.whl",
        "Jinja2-3.1.6.tar.gz",
        "index.html",
    ]
    assert wheels(names, packages) == [names[0], names[2]]


def test_links_of_a_page() -> None:
    page = '<a href="../../files/a%2Bb-1-py3-none-any.whl#sha256=0">a</a> <a href="c.whl">c</a>'
    assert linked(page) == ["../../files/a+b-1-py3-none-any.whl", "c.whl"]
