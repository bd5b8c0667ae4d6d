/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of skep-apiserver. */
#include "apiserver.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/base/str.h"

#ifndef SKEP_VERSION
#define SKEP_VERSION "unknown"
#endif

static const char usage[] =
	"Usage: skep-apiserver --store STORE --tls-cert FILE --tls-key FILE --client-ca FILE [--listen ADDRESS]... [options]\n"
	"\n"
	"Serves the Kubernetes API over HTTPS.\n"
	"\n"
	"  --listen ADDRESS         address:port, [address]:port or unix:/path; may be repeated. Sockets passed by systemd\n"
	"                           (LISTEN_FDS) are served as well\n"
	"  --store STORE            sqlite:DIRECTORY, or etcd:http(s)://host:port[,...]\n"
	"  --etcd-servers URLS      the same as --store etcd:URLS; every member of the cluster, separated by commas\n"
	"  --etcd-quota-bytes N     etcd's --quota-backend-bytes, for warnings before it is full (2 GiB; etcd 3.6 tells it)\n"
	"  --etcd-cafile FILE       CA of etcd's certificates\n"
	"  --etcd-certfile FILE     client certificate for etcd\n"
	"  --etcd-keyfile FILE      and its key\n"
	"  --tls-cert FILE          serving certificate\n"
	"  --tls-key FILE           and its key\n"
	"  --client-ca FILE         CA of clients' certificates (CN = user, O = groups)\n"
	"  --kubelet-client-cert FILE, --kubelet-client-key FILE, --kubelet-ca FILE\n"
	"                           identity towards the agents, for logs and exec, and the CA of theirs\n"
	"  --service-node-port-range FIRST-LAST  ports of NodePort and LoadBalancer services (30000-32767)\n"
	"  --service-cidrs CIDRS    addresses of services, at most one range of each family (10.96.0.0/12,fd00:10:96::/112)\n"
	"  --advertise IP:PORT,...  where pods reach the API servers: endpoints of the Service `kubernetes`\n"
	"  --encryption-keys FILE   EncryptionConfiguration (aesgcm, identity): what is encrypted in the store, and by which keys\n"
	"  --token-auth-file FILE   users by token: CSV of token,user,uid,\"group,...\", read at start\n"
	"  --service-account-signing-key-file FILE\n"
	"                           private key (P-256 or RSA) that signs service accounts' tokens; without it none are given out\n"
	"  --service-account-key-file FILE  further keys, private or public, whose tokens are good; may be repeated\n"
	"  --service-account-issuer URL     who issues tokens; may be repeated, the first one signs\n"
	"                           (https://kubernetes.default.svc.cluster.local)\n"
	"  --api-audiences NAME,...  audiences of tokens for this server (the first issuer)\n"
	"  --service-account-max-token-expiration DURATION  longer wishes are cut to it\n"
	"  --max-requests-inflight N, --max-mutating-requests-inflight N\n"
	"                           together: requests at work at once, shared out by priority (400 and 200)\n"
	"  --request-timeout DURATION  of requests that are no streams (60s)\n"
	"  --audit-policy-file FILE, --audit-log-path FILE|-\n"
	"                           what is recorded of requests (audit.k8s.io/v1 Policy), and where, as lines of JSON\n"
	"  --audit-log-maxsize MIB, --audit-log-maxbackup FILES, --audit-log-maxage DAYS\n"
	"                           rotation: 100 MiB; 0 files or days keep all\n"
	"  --disable-admission-plugins NAME,...  docs/api.md names them; all are on unless named here\n"
	"  --enable-admission-plugins NAME,...   must be plugins that are there, and not disabled\n"
	"  --help, --version\n";

static int readable(const char *flag, const char *path, struct err *err)
{
	if (path && access(path, R_OK) < 0)
		return err_set(err, errno, "%s '%s': %m", flag, path);
	return 0;
}

static int check(const struct apiserver_config *c, struct err *err)
{
	const struct {
		const char *flag, *path;
	} files[] = {
		{ "--tls-cert", c->tls.cert_file },
		{ "--tls-key", c->tls.key_file },
		{ "--client-ca", c->tls.ca_file },
		{ "--etcd-ca", c->etcd_tls.ca_file },
		{ "--etcd-cert", c->etcd_tls.cert_file },
		{ "--etcd-key", c->etcd_tls.key_file },
		{ "--kubelet-client-cert", c->kubelet.cert_file },
		{ "--kubelet-client-key", c->kubelet.key_file },
		{ "--kubelet-ca", c->kubelet.ca_file },
		{ "--service-account-signing-key-file", c->sa_signing_key },
		{ "--token-auth-file", c->token_auth_file },
	};

	if (!c->store && !c->etcd_servers)
		return err_set(err, EINVAL, "--store or --etcd-servers is missing; see --help");
	if (c->store && c->etcd_servers)
		return err_set(err, EINVAL, "--store and --etcd-servers exclude each other");
	if (!c->tls.cert_file || !c->tls.key_file || !c->tls.ca_file)
		return err_set(err, EINVAL, "--tls-cert, --tls-key and --client-ca are needed; see --help");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int r = readable(files[i].flag, files[i].path, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int apiserver_config_parse(int argc, char **argv, struct apiserver_config *config, struct err *err)
{
	enum {
		LISTEN = 1000,
		STORE,
		ETCD_SERVERS,
		ETCD_QUOTA,
		ETCD_CA,
		ETCD_CERT,
		ETCD_KEY,
		TLS_CERT,
		TLS_KEY,
		CLIENT_CA,
		KUBELET_CERT,
		KUBELET_KEY,
		KUBELET_CA,
		SERVICE_CIDRS,
		NODE_PORTS,
		ADVERTISE,
		ENCRYPTION_KEYS,
		TOKEN_FILE,
		SA_SIGNING_KEY,
		SA_KEY,
		SA_ISSUER,
		API_AUDIENCES,
		SA_MAX_EXPIRATION,
		MAX_READS,
		MAX_WRITES,
		REQUEST_TIMEOUT,
		AUDIT_POLICY,
		AUDIT_PATH,
		AUDIT_SIZE,
		AUDIT_BACKUPS,
		AUDIT_AGE,
		ADMISSION_ON,
		ADMISSION_OFF,
		HELP,
		VERSION
	};
	static const struct option options[] = {
		{ "listen", 1, NULL, LISTEN },
		{ "store", 1, NULL, STORE },
		{ "etcd-ca", 1, NULL, ETCD_CA },
		{ "etcd-cert", 1, NULL, ETCD_CERT },
		{ "etcd-key", 1, NULL, ETCD_KEY },
		{ "etcd-servers", 1, NULL, ETCD_SERVERS },
		{ "etcd-quota-bytes", 1, NULL, ETCD_QUOTA },
		{ "etcd-cafile", 1, NULL, ETCD_CA },
		{ "etcd-certfile", 1, NULL, ETCD_CERT },
		{ "etcd-keyfile", 1, NULL, ETCD_KEY },
		{ "tls-cert", 1, NULL, TLS_CERT },
		{ "tls-key", 1, NULL, TLS_KEY },
		{ "client-ca", 1, NULL, CLIENT_CA },
		{ "kubelet-client-cert", 1, NULL, KUBELET_CERT },
		{ "kubelet-client-key", 1, NULL, KUBELET_KEY },
		{ "kubelet-ca", 1, NULL, KUBELET_CA },
		{ "kubelet-client-ca", 1, NULL, KUBELET_CA },
		{ "service-cidrs", 1, NULL, SERVICE_CIDRS },
		{ "service-node-port-range", 1, NULL, NODE_PORTS },
		{ "advertise", 1, NULL, ADVERTISE },
		{ "encryption-keys", 1, NULL, ENCRYPTION_KEYS },
		{ "token-auth-file", 1, NULL, TOKEN_FILE },
		{ "service-account-signing-key-file", 1, NULL, SA_SIGNING_KEY },
		{ "service-account-key-file", 1, NULL, SA_KEY },
		{ "service-account-issuer", 1, NULL, SA_ISSUER },
		{ "api-audiences", 1, NULL, API_AUDIENCES },
		{ "service-account-max-token-expiration", 1, NULL, SA_MAX_EXPIRATION },
		{ "max-requests-inflight", 1, NULL, MAX_READS },
		{ "max-mutating-requests-inflight", 1, NULL, MAX_WRITES },
		{ "request-timeout", 1, NULL, REQUEST_TIMEOUT },
		{ "audit-policy-file", 1, NULL, AUDIT_POLICY },
		{ "audit-log-path", 1, NULL, AUDIT_PATH },
		{ "audit-log-maxsize", 1, NULL, AUDIT_SIZE },
		{ "audit-log-maxbackup", 1, NULL, AUDIT_BACKUPS },
		{ "audit-log-maxage", 1, NULL, AUDIT_AGE },
		{ "enable-admission-plugins", 1, NULL, ADMISSION_ON },
		{ "disable-admission-plugins", 1, NULL, ADMISSION_OFF },
		{ "help", 0, NULL, HELP },
		{ "version", 0, NULL, VERSION },
		{ 0 },
	};
	unsigned reads = 400, writes = 200;
	int64_t n;
	int opt;

	*config = (struct apiserver_config){ .socket_activation = true };
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (opt) {
		case LISTEN:
			if (config->n_listen == APISERVER_MAX_LISTEN)
				return err_set(err, EINVAL, "--listen: at most %d addresses", APISERVER_MAX_LISTEN);
			config->listen[config->n_listen++] = optarg;
			break;
		case STORE:
			config->store = optarg;
			break;
		case ETCD_SERVERS:
			config->etcd_servers = optarg;
			break;
		case ETCD_QUOTA:
			if (str_to_i64(optarg, 1 << 20, INT64_MAX, &config->etcd_quota) < 0)
				return err_set(err, EINVAL, "--etcd-quota-bytes '%s': expected 1048576 or more",
					       optarg);
			break;
		case ETCD_CA:
			config->etcd_tls.ca_file = optarg;
			break;
		case ETCD_CERT:
			config->etcd_tls.cert_file = optarg;
			break;
		case ETCD_KEY:
			config->etcd_tls.key_file = optarg;
			break;
		case TLS_CERT:
			config->tls.cert_file = optarg;
			break;
		case TLS_KEY:
			config->tls.key_file = optarg;
			break;
		case CLIENT_CA:
			config->tls.ca_file = optarg;
			break;
		case KUBELET_CERT:
			config->kubelet.cert_file = optarg;
			break;
		case KUBELET_KEY:
			config->kubelet.key_file = optarg;
			break;
		case KUBELET_CA:
			config->kubelet.ca_file = optarg;
			break;
		case SERVICE_CIDRS:
			config->service_cidrs = optarg;
			break;
		case NODE_PORTS:
			config->node_ports = optarg;
			break;
		case ADVERTISE:
			config->advertise = optarg;
			break;
		case ENCRYPTION_KEYS:
			config->encryption_keys = optarg;
			break;
		case TOKEN_FILE:
			config->token_auth_file = optarg;
			break;
		case SA_SIGNING_KEY:
			config->sa_signing_key = optarg;
			break;
		case SA_KEY:
			if (config->n_sa_keys == APISERVER_MAX_KEYS)
				return err_set(err, EINVAL, "--service-account-key-file: at most %d",
					       APISERVER_MAX_KEYS);
			config->sa_keys[config->n_sa_keys++] = optarg;
			break;
		case SA_ISSUER:
			if (!*optarg || config->n_sa_issuers == APISERVER_MAX_ISSUERS)
				return err_set(err, EINVAL, "--service-account-issuer: 1 to %d names",
					       APISERVER_MAX_ISSUERS);
			config->sa_issuers[config->n_sa_issuers++] = optarg;
			break;
		case API_AUDIENCES:
			config->api_audiences = optarg;
			break;
		case SA_MAX_EXPIRATION:
			if (str_to_duration_ms(optarg, &config->sa_max_expiration_s) < 0 ||
			    (config->sa_max_expiration_s /= 1000) < 3600)
				return err_set(err, EINVAL,
					       "--service-account-max-token-expiration '%s': not a duration of an hour "
					       "or more",
					       optarg);
			break;
		case MAX_READS:
		case MAX_WRITES:
			if (str_to_i64(optarg, 1, 100000, &n) < 0)
				return err_set(err, EINVAL, "--max-%srequests-inflight '%s': expected 1 to 100000",
					       opt == MAX_READS ? "" : "mutating-", optarg);
			*(opt == MAX_READS ? &reads : &writes) = (unsigned)n;
			break;
		case REQUEST_TIMEOUT:
			if (str_to_duration_ms(optarg, &n) < 0 || n < 1000 || n > 86400000)
				return err_set(err, EINVAL, "--request-timeout '%s': expected 1s to 24h", optarg);
			config->request_timeout_s = (int)(n / 1000);
			break;
		case AUDIT_POLICY:
			config->audit_policy_file = optarg;
			break;
		case AUDIT_PATH:
			config->audit_log_path = optarg;
			break;
		case AUDIT_SIZE:
		case AUDIT_BACKUPS:
		case AUDIT_AGE:
			if (str_to_i64(optarg, 0, 100000, &n) < 0)
				return err_set(err, EINVAL, "--audit-log-max%s '%s': expected 0 to 100000",
					       opt == AUDIT_SIZE      ? "size"
					       : opt == AUDIT_BACKUPS ? "backup"
								      : "age",
					       optarg);
			*(opt == AUDIT_SIZE	 ? &config->audit_log_maxsize
			  : opt == AUDIT_BACKUPS ? &config->audit_log_maxbackup
						 : &config->audit_log_maxage) = (int)n;
			break;
		case ADMISSION_ON:
			config->enable_admission_plugins = optarg;
			break;
		case ADMISSION_OFF:
			config->disable_admission_plugins = optarg;
			break;
		case HELP:
			fputs(usage, stdout);
			return 1;
		case VERSION:
			puts("skep-apiserver " SKEP_VERSION);
			return 1;
		case ':':
			return err_set(err, EINVAL, "%s needs a value; see --help", argv[optind - 1]);
		default:
			return err_set(err, EINVAL, "unknown option %s; see --help", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return err_set(err, EINVAL, "unexpected argument '%s'; see --help", argv[optind]);
	config->max_seats = reads + writes;
	return check(config, err);
}
