"""The checks of the made-up campaign, as tables: products are real, advisories, numbers and texts are invented."""

#: week: how many weeks after the start the advisory appears (0: long known). share: of the hosts that have `on`.
#: exploit: no, yes, or the framework that has it. Columns: id week severity cvss share exploit on title
PATCHES = """
[Windows : Microsoft Bulletins]
290101 0 critical 9.8 0.35 metasploit windows   KB5058411: Windows 10 / 11 / Server Cumulative Update, Spring Baseline
290102 0 high     7.8 0.40 yes        windows   KB5058420: Windows Common Log File System Driver Elevation of Privilege
290103 0 high     8.8 0.30 no         windows   KB5058431: Windows Remote Desktop Client Code Execution
290104 0 medium   5.5 0.30 no         windows   KB5058438: Windows Kernel Information Disclosure
290105 0 high     7.5 0.45 no         winserver KB5058447: Windows DNS Server Denial of Service
290106 0 critical 9.8 0.30 yes        winserver KB5058452: Windows Message Queuing Code Execution
290107 0 high     7.8 0.30 no         client    KB5002711: Security Update for Microsoft Office 2021
290108 0 high     7.8 0.25 yes        client    KB5002716: Security Update for Microsoft Outlook 2021
290109 0 medium   6.5 0.25 no         windows   KB5058466: Security Update for .NET Framework 4.8
290201 1 critical 9.8 0.65 metasploit windows   KB5060529: Windows Server Message Block Code Execution
290202 1 high     7.8 0.55 yes        client    KB5002748: Security Update for Microsoft Excel 2021
290203 1 high     8.1 0.50 no         winserver KB5060531: Windows LDAP Service Code Execution
290204 1 medium   6.1 0.40 no         windows   KB5060540: Windows MSHTML Platform Spoofing
290205 1 high     8.8 0.35 no         windows   KB5060547: Security Update for .NET 8
290301 3 critical 9.8 0.60 yes        windows   KB5062552: Windows TCP/IP Code Execution over IPv6
290302 3 high     7.8 0.55 metasploit windows   KB5062560: Windows Task Scheduler Elevation of Privilege
290303 3 high     8.8 0.45 no         client    KB5002790: Security Update for Microsoft Word 2021
290304 3 high     7.5 0.45 no         winserver KB5062566: Windows Kerberos Denial of Service
290305 3 medium   5.9 0.35 no         windows   KB5062571: Windows Secure Channel Information Disclosure
290401 5 critical 9.1 0.60 yes        windows   KB5063875: Windows Graphics Component Code Execution
290402 5 high     7.8 0.55 no         client    KB5002831: Security Update for Microsoft Office Click-to-Run
290403 5 high     8.1 0.50 yes        winserver KB5063880: Windows Remote Procedure Call Code Execution
290404 5 medium   6.5 0.35 no         windows   KB5063889: Windows Hello Security Feature Bypass
[Ubuntu Local Security Checks]
291101 0 high     7.5 0.60 no         ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : curl vulnerabilities (USN-8104-1)
291102 0 high     7.8 0.70 yes        ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : Linux kernel vulnerabilities (USN-8110-1)
291103 0 medium   5.3 0.50 no         ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : Python vulnerabilities (USN-8113-1)
291104 0 medium   6.5 0.40 no         ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : libxml2 vulnerability (USN-8119-2)
291105 2 critical 9.8 0.60 yes        ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : OpenSSL vulnerabilities (USN-8131-1)
291106 2 high     7.8 0.60 no         ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : sudo vulnerability (USN-8134-1)
291107 4 high     7.8 0.70 metasploit ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : Linux kernel vulnerabilities (USN-8150-1)
291108 4 medium   5.9 0.50 no         ubuntu    Ubuntu 22.04 LTS / 24.04 LTS : GnuTLS vulnerabilities (USN-8152-1)
[Red Hat Local Security Checks]
292101 0 high     7.8 0.60 yes        rhel      RHEL 9 : kernel (RHSA-2026:4211)
292102 0 high     7.5 0.50 no         rhel      RHEL 9 : bind (RHSA-2026:4240)
292103 0 medium   5.5 0.50 no         rhel      RHEL 9 : glib2 (RHSA-2026:4302)
292104 0 medium   6.5 0.40 no         rhel      RHEL 9 : python3.11 (RHSA-2026:4318)
292105 2 critical 9.8 0.60 yes        rhel      RHEL 9 : openssl (RHSA-2026:4655)
292106 2 high     7.0 0.50 no         rhel      RHEL 9 : systemd (RHSA-2026:4671)
292107 4 high     7.8 0.60 no         rhel      RHEL 9 : kernel (RHSA-2026:5120)
292108 4 low      3.3 0.40 no         rhel      RHEL 9 : rsync (RHSA-2026:5133)
[Debian Local Security Checks]
293101 0 high     7.5 0.60 no         debian    Debian dsa-6120 : nginx - security update
293102 0 high     7.8 0.60 yes        debian    Debian dsa-6124 : linux-image - security update
293103 0 medium   5.3 0.50 no         debian    Debian dsa-6131 : libtiff - security update
293104 2 critical 9.8 0.70 yes        debian    Debian dsa-6140 : openssl - security update
293105 4 high     7.5 0.60 no         debian    Debian dsa-6152 : glibc - security update
"""

#: Columns: id week severity cvss share exploit on port service title; then why, then what to do.
FLAWS = """
[Web Servers]
294101 0 high     7.5 0.80 yes        web       8080 www    Apache Tomcat 9.0.x < 9.0.110 Request Smuggling
The version in the banner mishandles some chunked requests, so that one client can slip a request into another's.
Upgrade Apache Tomcat to 9.0.110 or later.

294102 0 medium   5.3 0.70 no         web       443  www    nginx < 1.28.1 Memory Disclosure in the mp4 Module
A crafted video file makes the server send bytes of its own memory.
Upgrade nginx to 1.28.1 or later, or disable the mp4 module.

294103 0 medium   5.0 0.60 no         web       80   www    Browsable Web Directories
Some directories list their files to everybody who asks.
Switch directory listings off, or make sure that nothing private lies there.

294104 0 low      2.6 0.80 no         web       80   www    Web Server Sends Credentials over Clear Text
A login form of this site is sent without encryption.
Serve every form that asks for a password over HTTPS.

294105 2 critical 9.8 0.60 metasploit web       8080 www    Apache Struts 6.x < 6.7.4 Code Execution by File Upload
A path in the name of an uploaded file is not checked, which lets a stranger place and run a script.
Upgrade Apache Struts to 6.7.4 or later.

294106 4 high     8.1 0.60 no         web       443  www    PHP 8.3.x < 8.3.24 Multiple Vulnerabilities
The PHP version behind this site has known errors in its session and image functions.
Upgrade PHP to 8.3.24 or later.

294107 0 medium   5.3 0.60 no         printer   80   www    Embedded Web Server Allows Configuration Without Login
The settings of this device can be changed by anybody in the network.
Set an administrator's password in the device.

294108 0 low      3.1 0.40 no         winserver 80   www    Microsoft IIS Default Page Discloses Its Version
The start page that comes with IIS is still in place and tells the version.
Remove the default site.

[Databases]
295101 0 high     8.8 0.70 no         db        5432 postgresql PostgreSQL 15.x < 15.14 Multiple Vulnerabilities
A user with few rights can run code as the owner of the database through a maintenance command.
Upgrade PostgreSQL to 15.14 or later.

295102 0 critical 9.8 0.30 yes        db        6379 redis  Redis Server Unprotected by Password
The cache answers everybody, and by it files of the server can be overwritten.
Set a password and bind Redis to the addresses that need it.

295103 2 high     7.2 0.60 no         db        3306 mysql  MySQL 8.0.x < 8.0.44 Multiple Vulnerabilities
The vendor's quarterly update is missing; several of its errors can be used over the network.
Upgrade MySQL to 8.0.44 or later.

295104 0 medium   5.9 0.50 no         db        5432 postgresql PostgreSQL Accepts Connections Without TLS
Passwords and data of database clients can be read on the way.
Set ssl = on, and use hostssl lines in pg_hba.conf.

295105 4 high     8.1 0.30 no         db        9200 elasticsearch Elasticsearch 8.x < 8.19.4 Information Disclosure
A search over several indexes can return documents that its user may not read.
Upgrade Elasticsearch to 8.19.4 or later.

[General]
296101 0 medium   6.5 0.50 no         tls       443  www    SSL Certificate Signed by an Unknown Authority
Clients cannot tell this server from an impostor.
Buy or issue a certificate that your clients trust.

296102 0 medium   5.3 0.50 no         tls       443  www    TLS Version 1.0 and 1.1 Protocols Enabled
Old protocol versions with known weaknesses are still offered.
Offer TLS 1.2 and 1.3 only.

296103 0 medium   5.9 0.45 no         tls       443  www    TLS Ciphers of Medium Strength Offered
Ciphers with blocks of 64 bit can be broken when much is sent over one connection.
Remove 3DES from the list of ciphers.

296104 0 medium   5.3 0.35 no         tls       443  www    SSL Certificate Expired
The certificate is past its date, which teaches people to ignore warnings.
Renew the certificate.

296105 0 low      3.7 0.60 no         ssh       22   ssh    SSH Server Offers CBC Ciphers and Weak MACs
Parts of a session might be recovered by somebody who can watch and disturb it.
Remove CBC ciphers and MD5 or 96-bit MACs from the server's configuration.

296106 0 medium   5.9 0.50 no         ssh       22   ssh    SSH Server Vulnerable to Prefix Truncation
A person in the middle can drop messages at the start of a session unnoticed.
Upgrade the SSH server, or disable the ChaCha20 and encrypt-then-MAC modes.

[Misc.]
297101 0 medium   5.3 0.40 no         windows   445  cifs   SMB Signing Not Required
Messages between this host and its clients can be altered on the way.
Require signing by group policy.

297102 0 medium   4.0 0.20 no         winserver 3389 msrdp  Remote Desktop Without Network Level Authentication
The login screen is offered before a user has shown who he is.
Allow only connections with Network Level Authentication.

[SNMP]
297201 0 high     7.5 0.60 no         snmp      161  snmp   SNMP Agent Answers to a Default Community Name
Anybody in the network can read the device's settings by the name "public".
Change the community name, or use SNMPv3.

[Default Unix Accounts]
297301 0 critical 9.8 0.10 metasploit ssh       22   ssh    Default Password for the 'admin' Account
The account still has the password that it was delivered with.
Change the password or lock the account.

297302 0 critical 9.8 0.05 no         linux     22   ssh    Default Password for the 'oracle' Account
The account still has the password that it was delivered with.
Change the password or lock the account.

[Service detection]
297401 0 medium   5.0 0.30 no         network   23   telnet Unencrypted Telnet Server
Logins to this device can be read by anybody on the way.
Disable telnet and use SSH.

297402 0 low      2.6 0.30 no         linux     21   ftp    FTP Server Accepts Logins in Clear Text
User names and passwords are sent without encryption.
Switch to SFTP, or require TLS.
"""

#: As FLAWS, but found only by logging in.
SOFTWARE = """
[Windows]
298101 0 critical 10.0 0.90 no        win10     445  cifs   Microsoft Windows 10 Unsupported Version
The vendor stopped delivering security updates for this system in October 2025.
Upgrade the host to a supported version of Windows.

298102 0 critical 10.0 0.15 no        client    445  cifs   Adobe Reader 2020 Unsupported Version
The vendor delivers no updates any more.
Remove the program, or install its successor.

298103 0 high     8.8 0.35 yes        client    445  cifs   Mozilla Firefox < 140.10 Multiple Vulnerabilities
A web page can run code with the rights of the user.
Upgrade Firefox to 140.10 or later.

298104 0 high     8.8 0.35 yes        client    445  cifs   Google Chrome < 148.0.7300 Multiple Vulnerabilities
A web page can run code with the rights of the user.
Upgrade Chrome to 148.0.7300 or later.

298105 2 high     8.8 0.60 metasploit client    445  cifs   7-Zip < 25.3 Code Execution by Crafted Archive
Unpacking an archive can write outside of the chosen folder.
Upgrade 7-Zip to 25.3 or later.

298106 0 high     7.8 0.25 no         winserver 445  cifs   Java SE Development Kit Unsupported Version
A runtime without vendor support is installed beside the application.
Install a supported Java version, and remove the old one.

298107 0 medium   5.5 0.30 no         windows   445  cifs   Windows Unquoted Service Path
A local user may place a program where a service would start it.
Put the path of the service in quotation marks.

298108 4 high     7.8 0.40 no         windows   445  cifs   VMware Tools 12.x < 12.5.4 Privilege Escalation
A user of the guest can become its administrator.
Upgrade VMware Tools to 12.5.4 or later.

[Misc.]
298201 0 high     7.8 0.35 no         linux     0    general Log4j Library of an Unsupported Branch
An archive of the 1.x branch, which gets no updates, lies in an application's folder.
Upgrade the application, or replace the library.
"""
