/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of volumes, storage classes, endpoints and ingresses, as kubectl shows them. */
#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "table.h"

#define COLUMN(name) static json_t *name(const json_t *obj, int64_t now_ms __attribute__((unused)))

static json_t *take(struct strbuf *sb, const char *empty)
{
	json_t *out = json_string(sb->len ? sb->buf : empty);

	strbuf_done(sb);
	return out;
}

static json_t *text_or(const json_t *obj, const char *path, const char *empty)
{
	const char *s = api_get_str(obj, path);

	return json_string(s && *s ? s : empty);
}

static json_t *joined(const json_t *list, const char *empty)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		strbuf_addf(&sb, "%s%s", i ? "," : "", json_string_value(v) ?: "");
	return take(&sb, empty);
}

/* --- volumes and claims ------------------------------------------------------------------------------------------- */

/* "RWO,RWX", each once and always in this order. */
static json_t *access_modes(const json_t *modes)
{
	static const char *const names[][2] = { { "ReadWriteOnce", "RWO" },
						{ "ReadOnlyMany", "ROX" },
						{ "ReadWriteMany", "RWX" },
						{ "ReadWriteOncePod", "RWOP" } };
	struct strbuf sb = STRBUF_INIT;
	const json_t *v;
	size_t i;

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		json_array_foreach (modes, i, v) {
			if (streq(json_string_value(v), names[n][0])) {
				strbuf_addf(&sb, "%s%s", sb.len ? "," : "", names[n][1]);
				break;
			}
		}
	}
	return take(&sb, "");
}

static json_t *phase(const json_t *obj)
{
	if (api_get(obj, "metadata.deletionTimestamp"))
		return json_string("Terminating");
	return text_or(obj, "status.phase", "");
}

COLUMN(pv_capacity)
{
	return text_or(obj, "spec.capacity.storage", "");
}

COLUMN(pv_access_modes)
{
	return access_modes(api_get(obj, "spec.accessModes"));
}

COLUMN(pv_status)
{
	return phase(obj);
}

COLUMN(pv_claim)
{
	const json_t *ref = api_get(obj, "spec.claimRef");
	char buf[600];

	if (!ref)
		return json_string("");
	snprintf(buf, sizeof(buf), "%.253s/%.253s", api_get_str(ref, "namespace") ?: "",
		 api_get_str(ref, "name") ?: "");
	return json_string(buf);
}

COLUMN(pvc_status)
{
	return phase(obj);
}

static bool bound(const json_t *obj)
{
	const char *volume = api_get_str(obj, "spec.volumeName");

	return volume && *volume;
}

COLUMN(pvc_capacity)
{
	return bound(obj) ? text_or(obj, "status.capacity.storage", "") : json_string("");
}

COLUMN(pvc_access_modes)
{
	return bound(obj) ? access_modes(api_get(obj, "status.accessModes")) : json_string("");
}

COLUMN(volume_class)
{
	return text_or(obj, "spec.storageClassName", "");
}

COLUMN(volume_attributes_class)
{
	return text_or(obj, "spec.volumeAttributesClassName", "<unset>");
}

COLUMN(volume_mode)
{
	return text_or(obj, "spec.volumeMode", "<unset>");
}

COLUMN(storageclass_name)
{
	const json_t *notes = api_get(obj, "metadata.annotations");
	const char *name = api_get_str(obj, "metadata.name") ?: "";
	bool dflt = streq(json_string_value(json_object_get(notes, "storageclass.kubernetes.io/is-default-class")),
			  "true") ||
		    streq(json_string_value(json_object_get(notes, "storageclass.beta.kubernetes.io/is-default-class")),
			  "true");
	char buf[300];

	snprintf(buf, sizeof(buf), "%.253s%s", name, dflt ? " (default)" : "");
	return json_string(buf);
}

COLUMN(csidriver_tokens)
{
	const json_t *list = api_get(obj, "spec.tokenRequests"), *v;
	struct strbuf sb = STRBUF_INIT;
	size_t i;

	json_array_foreach (list, i, v)
		strbuf_addf(&sb, "%s%s", i ? "," : "", api_get_str(v, "audience") ?: "");
	return take(&sb, list ? "" : "<unset>");
}

COLUMN(csidriver_modes)
{
	return joined(api_get(obj, "spec.volumeLifecycleModes"), "<none>");
}

COLUMN(csinode_drivers)
{
	return json_integer((json_int_t)json_array_size(api_get(obj, "spec.drivers")));
}

/* --- endpoints ---------------------------------------------------------------------------------------------------- */

#define MAX_ENDPOINTS 3

COLUMN(endpoints)
{
	const json_t *subset, *addr, *port;
	struct strbuf sb = STRBUF_INIT;
	size_t i, j, k, n = 0;

	json_array_foreach (json_object_get(obj, "subsets"), i, subset) {
		const json_t *ports = json_object_get(subset, "ports");

		json_array_foreach (json_object_get(subset, "addresses"), j, addr) {
			const char *ip = api_get_str(addr, "ip") ?: "";
			bool v6 = strchr(ip, ':');

			if (!json_array_size(ports) && n++ < MAX_ENDPOINTS)
				strbuf_addf(&sb, "%s%s", sb.len ? "," : "", ip);
			json_array_foreach (ports, k, port)
				if (n++ < MAX_ENDPOINTS)
					strbuf_addf(&sb, "%s%s%s%s:%lld", sb.len ? "," : "", v6 ? "[" : "", ip,
						    v6 ? "]" : "", (long long)api_get_int(port, "port", 0));
		}
	}
	if (n > MAX_ENDPOINTS)
		strbuf_addf(&sb, " + %zu more...", n - MAX_ENDPOINTS);
	return take(&sb, "<none>");
}

/* --- ingresses ---------------------------------------------------------------------------------------------------- */

COLUMN(ingress_class)
{
	return text_or(obj, "spec.ingressClassName", "<none>");
}

COLUMN(ingress_hosts)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *rule;
	size_t i, n = 0;

	json_array_foreach (api_get(obj, "spec.rules"), i, rule) {
		const char *host = api_get_str(rule, "host");

		if (host && *host && n++ < 3)
			strbuf_addf(&sb, "%s%s", sb.len ? "," : "", host);
	}
	if (n > 3)
		strbuf_addf(&sb, " + %zu more...", n - 3);
	return take(&sb, "*");
}

COLUMN(ingress_address)
{
	struct strbuf sb = STRBUF_INIT;
	const json_t *v;
	size_t i;

	json_array_foreach (api_get(obj, "status.loadBalancer.ingress"), i, v)
		strbuf_addf(&sb, "%s%s", i ? "," : "", api_get_str(v, "ip") ?: api_get_str(v, "hostname") ?: "");
	return take(&sb, "");
}

COLUMN(ingress_ports)
{
	return json_string(json_array_size(api_get(obj, "spec.tls")) ? "80, 443" : "80");
}

COLUMN(ingressclass_parameters)
{
	const json_t *p = api_get(obj, "spec.parameters");
	const char *group = api_get_str(p, "apiGroup");
	char buf[800];

	if (!p)
		return json_string("<none>");
	snprintf(buf, sizeof(buf), "%.253s%s%.253s/%.253s", api_get_str(p, "kind") ?: "", group ? "." : "", group ?: "",
		 api_get_str(p, "name") ?: "");
	return json_string(buf);
}

const struct api_column_impl api_storage_columns[] = {
	{ "pv-capacity", pv_capacity },
	{ "pv-access-modes", pv_access_modes },
	{ "pv-status", pv_status },
	{ "pv-claim", pv_claim },
	{ "pvc-status", pvc_status },
	{ "pvc-capacity", pvc_capacity },
	{ "pvc-access-modes", pvc_access_modes },
	{ "volume-class", volume_class },
	{ "volume-attributes-class", volume_attributes_class },
	{ "volume-mode", volume_mode },
	{ "storageclass-name", storageclass_name },
	{ "csidriver-tokens", csidriver_tokens },
	{ "csidriver-modes", csidriver_modes },
	{ "csinode-drivers", csinode_drivers },
	{ "endpoints", endpoints },
	{ "ingress-class", ingress_class },
	{ "ingress-hosts", ingress_hosts },
	{ "ingress-address", ingress_address },
	{ "ingress-ports", ingress_ports },
	{ "ingressclass-parameters", ingressclass_parameters },
	{ NULL, NULL },
};
