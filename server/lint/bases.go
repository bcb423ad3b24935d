package lint

import (
	"strings"
	"sync"
)

// common is what the popular official images have in common over their versions: which variables they define, for
// whom and where they start. The values are placeholders; only that they exist matters to the checks.
var common = sync.OnceValue(func() map[string]Image {
	all := map[string]Image{}
	for line := range strings.Lines(strings.TrimSpace(commonImages)) {
		fields := strings.Fields(line)
		img := Image{Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
		for _, f := range fields[1:] {
			if dir, ok := strings.CutPrefix(f, "workdir:"); ok {
				img.WorkingDir = dir
			} else if user, ok := strings.CutPrefix(f, "user:"); ok {
				img.User = user
			} else {
				img.Env = append(img.Env, f+"=value")
			}
		}
		all[fields[0]] = img
	}
	return all
})

// commonImages was read off the official images' Dockerfiles (github.com/docker-library and the projects' own).
const commonImages = `
alpine
busybox
debian
ubuntu
fedora
rockylinux
almalinux
archlinux
amazonlinux
buildpack-deps
hello-world
python LANG PYTHON_VERSION PYTHON_SHA256 GPG_KEY
node NODE_VERSION YARN_VERSION
golang GOLANG_VERSION GOTOOLCHAIN GOPATH workdir:/go
rust RUSTUP_HOME CARGO_HOME RUST_VERSION
ruby LANG RUBY_VERSION RUBY_DOWNLOAD_URL RUBY_DOWNLOAD_SHA256 GEM_HOME BUNDLE_SILENCE_ROOT_WARNING BUNDLE_APP_CONFIG
php PHP_VERSION PHP_URL PHP_ASC_URL PHP_SHA256 PHP_INI_DIR PHP_CFLAGS PHP_CPPFLAGS PHP_LDFLAGS PHPIZE_DEPS GPG_KEYS workdir:/var/www/html
composer COMPOSER_VERSION COMPOSER_HOME COMPOSER_ALLOW_SUPERUSER COMPOSER_MEMORY_LIMIT COMPOSER_HTACCESS_PROTECT workdir:/app
perl PERL_VERSION workdir:/usr/src/app
eclipse-temurin JAVA_HOME JAVA_VERSION LANG LANGUAGE LC_ALL
amazoncorretto JAVA_HOME LANG
maven JAVA_HOME JAVA_VERSION MAVEN_HOME MAVEN_CONFIG LANG LANGUAGE LC_ALL
gradle JAVA_HOME JAVA_VERSION GRADLE_HOME GRADLE_VERSION LANG LANGUAGE LC_ALL workdir:/home/gradle
tomcat CATALINA_HOME TOMCAT_NATIVE_LIBDIR LD_LIBRARY_PATH TOMCAT_MAJOR TOMCAT_VERSION TOMCAT_SHA512 JAVA_HOME JAVA_VERSION LANG LANGUAGE LC_ALL workdir:/usr/local/tomcat
elixir ELIXIR_VERSION OTP_VERSION REBAR3_VERSION LANG
erlang OTP_VERSION REBAR3_VERSION REBAR_VERSION
haskell LANG GHC_VERSION CABAL_INSTALL_VERSION STACK_VERSION
julia JULIA_PATH JULIA_GPG JULIA_VERSION
swift SWIFT_SIGNING_KEY SWIFT_PLATFORM SWIFT_BRANCH SWIFT_VERSION SWIFT_WEBROOT
gcc GPG_KEYS GCC_MIRRORS GCC_VERSION
nginx NGINX_VERSION NJS_VERSION NJS_RELEASE PKG_RELEASE DYNPKG_RELEASE ACME_VERSION
httpd HTTPD_PREFIX HTTPD_VERSION HTTPD_SHA256 HTTPD_PATCHES workdir:/usr/local/apache2
caddy CADDY_VERSION XDG_CONFIG_HOME XDG_DATA_HOME workdir:/srv
traefik
haproxy HAPROXY_VERSION HAPROXY_URL HAPROXY_SHA256 user:haproxy workdir:/var/lib/haproxy
postgres PG_MAJOR PG_VERSION PGDATA LANG GOSU_VERSION
mysql MYSQL_VERSION MYSQL_MAJOR MYSQL_SHELL_VERSION GOSU_VERSION
mariadb MARIADB_VERSION GOSU_VERSION LANG
redis REDIS_VERSION REDIS_DOWNLOAD_URL REDIS_DOWNLOAD_SHA GOSU_VERSION workdir:/data
memcached MEMCACHED_VERSION MEMCACHED_URL MEMCACHED_SHA1 user:memcache
mongo MONGO_VERSION MONGO_MAJOR MONGO_PACKAGE MONGO_REPO HOME GOSU_VERSION
rabbitmq RABBITMQ_VERSION RABBITMQ_HOME RABBITMQ_DATA_DIR RABBITMQ_PGP_KEY_ID HOME LANG LANGUAGE LC_ALL
registry OTEL_TRACES_EXPORTER
docker DOCKER_VERSION DOCKER_TLS_CERTDIR DOCKER_BUILDX_VERSION DOCKER_COMPOSE_VERSION
`
