# SPDX-License-Identifier: Apache-2.0
# Asks by libcurl's NSS flavour (Debian's libcurl3-nss) for each URL that it reads from a pipe.
import ctypes
import sys

OPTION_URL, OPTION_WRITE_FUNCTION = 10002, 20011
OPTION_VERIFY_PEER, OPTION_VERIFY_HOST, OPTION_HTTP_VERSION = 64, 81, 84
HTTP_1_1 = 2

curl = ctypes.CDLL("libcurl-nss.so.4")
curl.curl_easy_init.restype = ctypes.c_void_p
curl.curl_version.restype = ctypes.c_char_p
handle = ctypes.c_void_p(curl.curl_easy_init())
take = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
ignore = take(lambda data, size, count, user: size * count)


def set_option(option, value):
    if curl.curl_easy_setopt(handle, option, value) != 0:
        sys.exit(f"libcurl does not take option {option}")


set_option(OPTION_WRITE_FUNCTION, ignore)
for option, number in ((OPTION_VERIFY_PEER, 0), (OPTION_VERIFY_HOST, 0), (OPTION_HTTP_VERSION, HTTP_1_1)):
    set_option(option, ctypes.c_long(number))
print("waiting", curl.curl_version().decode(), flush=True)
for line in open(sys.argv[1]):
    set_option(OPTION_URL, ctypes.c_char_p(line.strip().encode()))
    result = curl.curl_easy_perform(handle)
    if result != 0:
        sys.exit(f"libcurl: error {result}")
print("done", flush=True)
